/* SPDX-License-Identifier: Apache-2.0
 * Building, verifying and timing one configuration in the session's worker. The verdicts are the supervisor's. */
#ifndef ATTUNE_TUNER_VERIFY_H
#define ATTUNE_TUNER_VERIFY_H

#include "reference.h"
#include "target.h"

/* A configuration in the worker. Slots 2n and 2n + 1 hold the plans for an edge problem and the workload. */
struct candidate {
    int slot; /* n */
    struct kernel_config config;
    char text[ATTUNE_CONFIG_TEXT_MAX];
    attune_outcome outcome;
    char reason[256];
    double build_ms, first_ms; /* the first run of the workload */
    double span_ms;            /* of the last sample, by the device's events; 0 = unknown */
    int32_t launches;          /* a sample */
    struct oracle_error error; /* of the workload; of the worst run seen */
    struct oracle_judgement
        judgement;       /* of the last comparison: where the outcome is WRONG by the contract, what was refused */
    uint32_t generation; /* worker that holds its plans */
    int error_set;       /* input set that error is of */
    int32_t checks;      /* comparisons passed */
    int32_t tried_again; /* times that a failure was not believed */
};

/* Whether a failure may have another cause than the kernel, so that it is worth a fresh worker: all but what was found
 * wrong. */
bool candidate_may_be_innocent(const struct candidate *candidate);
/* Whether a failure that came again and again is the configuration's own. Not so: no time, no memory, no device, the
 * environment. */
bool candidate_is_at_fault(const struct candidate *candidate);

void candidate_init(struct candidate *candidate, int slot, const struct kernel_config *config);

/* Opens a worker and loads the reference's inputs where needed. An error here is the device's, not a candidate's. */
attune_status candidate_prepare(struct attune_target *target, struct reference *reference);

/* Builds, and checks the outputs of the edge sets, the workload and, unless it is slow, the end of the class of
 * lengths. expected_ms, the best time of the workload (0 = unknown), sets the deadline, and says what is slow. */
attune_outcome candidate_verify(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                                double expected_ms, struct rng *rng);
/* Only builds: for a worker that lost a configuration that was verified before. */
attune_outcome candidate_build(struct attune_target *target, struct reference *reference, struct candidate *candidate);

/* Sets launches so that a sample lasts at least min_sample_ms. */
attune_outcome candidate_calibrate(struct attune_target *target, struct reference *reference,
                                   struct candidate *candidate, double min_sample_ms);
/* One sample: launches back to back, bracketed by the supervisor's clock. *time_ms is of one run. */
attune_outcome candidate_sample(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                                double *time_ms);

/* Poisons the workload's outputs, to be called before samples whose outputs are checked. */
attune_outcome candidate_poison(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                                struct rng *rng);
/* Checks the outputs that the last sample left. */
attune_outcome candidate_check(struct attune_target *target, struct reference *reference, struct candidate *candidate);

#endif
