/* SPDX-License-Identifier: Apache-2.0
 * State of one attune_tune, shared by its parts: tune.c (the search), budget.c (what is left), test_one.c (one test),
 * finals.c (confirmation), publish.c (promotion), cross.c (winners on other shapes), tune_journal.c (the record). */
#ifndef ATTUNE_TUNER_TUNING_H
#define ATTUNE_TUNER_TUNING_H

#include "answer.h"
#include "journal.h"
#include "recorder.h"
#include "rounds.h"
#include "search/search.h"
#include "tuning_space.h"

/* Of a confirmation: at most so many configurations of the search, and rounds, twice. */
#define FINALS_TOP 5
#define FINALS_ROUNDS 15

struct tuned_workload {
    const attune_problem *problem;
    struct reference reference;
    struct cache_key key;
    struct selection answer;      /* the caches', before */
    struct kernel_config untuned; /* the default */
    struct aside aside;           /* defaults that do not compile; the cache gets them with the winner */
    bool aside_grew;
    bool has_incumbent;           /* the exact, verified entry of answer */
    bool hit;                     /* nothing to do */
    int32_t search_index;         /* of the search's workloads; -1 for hits */
    double best_ms, default_ms;   /* so far; 0 = none */
    int32_t right_tests;          /* that had a time */
    char default_fault[200];      /* what became of the default in the search; "" = nothing wrong, or not tried */
    struct kernel_config winner;  /* what the cache answers from now on */
    bool has_winner;              /* that was confirmed, now or earlier */
    bool is_tuned;                /* ... by an entry that is cache_entry_is_tuned */
    attune_tune_result *result;
};

struct tuning {
    struct attune_target *target;
    const attune_tune_options *options;
    struct tuned_workload *workloads;
    int32_t num_workloads, num_active;
    int32_t active[SEARCH_MAX_WORKLOADS]; /* workload of each of the search's */
    struct kernel_facts facts[SEARCH_MAX_WORKLOADS];
    struct restriction restriction;
    struct tuning_space space;
    struct recorder *recorder;    /* NULL: none */
    attune_status record_status;  /* first failure to write */
    struct search *search;
    struct journal *journal;      /* NULL: not recorded */
    attune_status journal_status; /* first failure to write */
    char journal_reason[256];     /* of it */
    struct rng rng;
    uint64_t start_ns;
    int32_t tests, outcomes[16];
    int32_t environment_faults; /* tests in a row that failed for the environment's sake */
    char environment[256];      /* the last cause of it */
    double test_seconds;        /* all tests together */
    int32_t right_tests;        /* those that were right and not slow, and their building, verifying and sampling */
    double right_seconds;
    double search_seconds; /* from the start to the end of the search */
    bool out_of_time;      /* the time budget ended it */
    int32_t confirmed;     /* workloads whose confirmation is over */
    int32_t crossed;       /* ... and whose cross times are */
    bool interrupted;
    const char *phase;
};

attune_status tune_check_options(const attune_tune_options *options);

/* ---- budget.c */
double tuning_seconds(const struct tuning *tuning);
/* Of the rest of the tuning, estimated; 0 = unknown. */
double eta_seconds(const struct tuning *tuning);
/* Whether the entry's search is as large as what is asked for one workload of this tuning. */
bool depth_fulfils(const struct tuning *tuning, const struct cache_depth *depth);
/* What stands behind the workload's entry from now on. */
struct cache_depth search_depth(const struct tuning *tuning, const struct tuned_workload *workload);
/* Whether the search has to end. */
bool budget_spent(const struct tuning *tuning);
/* Whether nothing more may be begun. */
bool budget_over(const struct tuning *tuning);
/* Seconds to a reading of the clock, at least 0.001; 0 for 0. */
double seconds_until(uint64_t end_ns);
/* Configurations of the search that can be confirmed in so many seconds (0 = no limit), 1 to FINALS_TOP. */
int32_t finals_affordable(const struct tuning *tuning, const struct tuned_workload *workload, double seconds);
/* Shortens the deadlines to what a time budget permits. */
void budget_deadlines(const struct tuning *tuning, struct session_deadlines *deadlines);
/* Sets when the session cuts requests off; to be called before each test and each part. */
void budget_limit_requests(struct tuning *tuning);
/* For the next confirmation, the next cross times; 0 = no limit. */
double confirm_seconds(const struct tuning *tuning);
double cross_seconds(const struct tuning *tuning);
double keep_seconds(const struct tuning *tuning);

/* Calls the callback, if any, and notes what it answers. */
void tuning_progress(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate,
                     double time_ms);

/* A build has failed: a default that did not compile answers no more, and the next takes its place. */
void default_failed(struct tuning *tuning, struct tuned_workload *workload, const struct candidate *candidate);

/* One test of a proposal, made again in a fresh worker where the environment failed it. An error is the device's or the
 * environment's: nothing was decided about the configuration. */
attune_status test_proposal(struct tuning *tuning, struct tuned_workload *workload,
                            const struct search_proposal *proposal);

/* Confirms the best of a workload against the default and the incumbent, within so many seconds (0 = no limit), and
 * writes the cache. IO: the entry could not be written; another error: the device is lost. */
attune_status confirm_workload(struct tuning *tuning, struct tuned_workload *workload, double seconds);

/* cross.c: files the winner as all that is known of its shape; then measures it beside the winners of other shapes. An error is the
 * device's. */
void cross_put_winner(struct tuning *tuning, const struct tuned_workload *workload);
attune_status cross_workload(struct tuning *tuning, struct tuned_workload *workload, double seconds);

/* keep.c: compiles what plans of the tuned workloads need into the cache. A failure is a warning: plans compile by themselves. */
void keep_kernels(struct tuning *tuning);

/* ---- tune_journal.c: each is one record, and does nothing without a journal */
attune_status tuning_journal_open(struct tuning *tuning);
void record(struct tuning *tuning, const char *type, json_t *fields);
void record_header(struct tuning *tuning);
void record_proposal(struct tuning *tuning, const struct tuned_workload *workload,
                     const struct search_proposal *proposal, const struct candidate *candidate);
void record_outcome(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate,
                    const double *samples, int32_t num_samples, double time_ms);
/* A configuration that is tried again in a fresh worker. */
void record_retry(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate);
/* A finalist that is faster than the device can be. */
void record_quarantine(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate,
                       double time_ms);
void record_checkpoint(struct tuning *tuning);
void record_rounds(struct tuning *tuning, const char *type, const struct tuned_workload *workload,
                   const struct candidate *candidates, const struct rounds *rounds);

#endif
