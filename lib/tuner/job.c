/* SPDX-License-Identifier: Apache-2.0
 * Tuning in a thread of its own, which ends with a new plan. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "desc.h"
#include "measure_plan.h"
#include "plan.h"
#include "tuning.h"

#define MAX_WAIT_SECONDS 1e9

struct attune_tune_job {
    /* Fixed by the start. */
    attune_context *context;
    attune_attention_desc desc;
    struct attune_kv_layout layout;
    bool has_layout;
    attune_plan_options plan_options; /* its shapes are the job's own */
    attune_tune_options options;      /* its texts are the job's own; its callback is ours */
    attune_tune_callback progress;    /* the caller's */
    void *progress_priv;
    pthread_t thread;

    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool cancelled;
    attune_tune_state state;
    attune_tune_summary summary;
    attune_status status;
    char error[1024];
    attune_plan *plan;
    bool taken;
};

/* ---- in the job's thread */

static bool is_cancelled(struct attune_tune_job *job)
{
    pthread_mutex_lock(&job->mutex);
    bool cancelled = job->cancelled;
    pthread_mutex_unlock(&job->mutex);
    return cancelled;
}

static int note_progress(void *priv, const attune_tune_progress *progress)
{
    struct attune_tune_job *job = priv;
    int stop = job->progress ? job->progress(job->progress_priv, progress) : 0;
    pthread_mutex_lock(&job->mutex);
    attune_tune_state *state = &job->state;
    state->tests = progress->tests;
    state->seconds = progress->seconds;
    state->eta_seconds = progress->eta_seconds;
    copy_string(state->phase, sizeof state->phase, progress->phase);
    copy_string(state->workload, sizeof state->workload, progress->workload);
    copy_string(state->config, sizeof state->config, progress->config);
    state->outcome = progress->outcome;
    state->time_ms = progress->time_ms;
    state->best_ms = progress->best_ms;
    state->default_ms = progress->default_ms;
    job->cancelled |= stop != 0;
    stop = job->cancelled;
    pthread_mutex_unlock(&job->mutex);
    return stop;
}

static attune_status tune_and_plan(struct attune_tune_job *job, attune_tune_summary *summary, attune_plan **plan)
{
    struct shape_list list = plan_shapes(&job->plan_options);
    const attune_kv_layout *layout = job->has_layout ? &job->layout : NULL;
    if (is_cancelled(job))
        return set_error(ATTUNE_ERROR_CANCELLED, "the job was cancelled before it began");
    attune_status status = plan_tune(job->context, &job->desc, layout, &list, &job->options, summary);
    if (status != ATTUNE_OK)
        return status;
    if (summary->end == ATTUNE_TUNE_INTERRUPTED)
        return set_error(ATTUNE_ERROR_CANCELLED, "the job was cancelled after %d tests", summary->tests);
    return attune_plan_create(job->context, &job->desc, layout, &job->plan_options, plan);
}

static void *job_main(void *priv)
{
    struct attune_tune_job *job = priv;
    attune_tune_summary summary = {0};
    attune_plan *plan = NULL;
    attune_status status = tune_and_plan(job, &summary, &plan);
    pthread_mutex_lock(&job->mutex);
    job->status = status;
    job->summary = summary;
    job->plan = plan;
    copy_string(job->error, sizeof job->error, status ? attune_last_error() : "");
    copy_string(job->state.phase, sizeof job->state.phase, "done");
    job->state.tests = summary.tests;
    job->state.eta_seconds = 0;
    job->state.finished = 1;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->mutex);
    return NULL;
}

/* ---- start and end */

static attune_status check(const attune_context *context, const attune_attention_desc *desc,
                           const attune_kv_layout *layout, const attune_plan_options *plan_options,
                           const attune_tune_options *options)
{
    attune_status status = plan_check_arguments(context, desc, layout, plan_options);
    if (status == ATTUNE_OK && plan_options->force_config)
        return set_error(ATTUNE_ERROR_MISMATCH, "plan_options.force_config is set: there is nothing to tune");
    if (status == ATTUNE_OK)
        status = plan_check_measurable(layout);
    return status ? status : tune_check_options(options);
}

/* Copies what the options point to. */
static bool copy_options(struct attune_tune_job *job, const attune_plan_options *plan_options,
                         const attune_tune_options *options)
{
    attune_plan_options *plan = &job->plan_options;
    struct shape_list list = plan_shapes(plan_options);
    attune_shape *shapes = malloc(list.count * sizeof *shapes);
    *plan = *plan_options;
    plan->size = sizeof *plan;
    plan->policy = ATTUNE_ESTIMATE;
    plan->shapes = shapes;
    plan->num_shapes = shapes ? list.count : 0;
    if (shapes)
        memcpy(shapes, list.shapes, list.count * sizeof *shapes);
    job->options = *options;
    job->options.size = sizeof job->options;
    job->options.strategy = options->strategy ? strdup(options->strategy) : NULL;
    job->options.journal = options->journal ? strdup(options->journal) : NULL;
    job->options.family = options->family ? strdup(options->family) : NULL;
    job->options.record = options->record ? strdup(options->record) : NULL;
    job->options.progress = note_progress;
    job->options.progress_priv = job;
    job->progress = options->progress;
    job->progress_priv = options->progress_priv;
    job->state.budget_tests = options->budget_tests;
    job->state.budget_seconds = options->budget_seconds;
    copy_string(job->state.phase, sizeof job->state.phase, "start");
    return shapes && (job->options.strategy || !options->strategy) && (job->options.journal || !options->journal) &&
           (job->options.family || !options->family) && (job->options.record || !options->record);
}

static void job_free(struct attune_tune_job *job)
{
    attune_plan_destroy(&job->plan);
    free((void *)job->plan_options.shapes);
    free((void *)job->options.strategy);
    free((void *)job->options.journal);
    free((void *)job->options.family);
    free((void *)job->options.record);
    free(job);
}

static bool init_sync(struct attune_tune_job *job)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&job->mutex, NULL))
        return false;
    bool made = !pthread_condattr_init(&attributes);
    if (made) {
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        made = !pthread_cond_init(&job->changed, &attributes);
        pthread_condattr_destroy(&attributes);
    }
    if (!made)
        pthread_mutex_destroy(&job->mutex);
    return made;
}

static void destroy_sync(struct attune_tune_job *job)
{
    pthread_cond_destroy(&job->changed);
    pthread_mutex_destroy(&job->mutex);
}

/* The caller's signal handlers must not run on our thread. */
static int start_thread(struct attune_tune_job *job)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&job->thread, NULL, job_main, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

attune_status attune_tune_start(attune_context *context, const attune_attention_desc *desc,
                                const attune_kv_layout *layout, const attune_plan_options *plan_options,
                                const attune_tune_options *tune_options, attune_tune_job **out)
{
    static const attune_plan_options plan_defaults = ATTUNE_PLAN_OPTIONS_INIT;
    static const attune_tune_options tune_defaults = ATTUNE_TUNE_OPTIONS_INIT;
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!plan_options)
        plan_options = &plan_defaults;
    if (!tune_options)
        tune_options = &tune_defaults;
    attune_status status = check(context, desc, layout, plan_options, tune_options);
    if (status != ATTUNE_OK)
        return status;
    struct attune_tune_job *job = calloc(1, sizeof *job);
    if (!job)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a job");
    job->context = context;
    job->desc = *desc;
    job->desc.size = sizeof job->desc;
    job->has_layout = layout != NULL;
    if (layout)
        job->layout = *layout;
    bool ready = copy_options(job, plan_options, tune_options);
    bool synced = ready && init_sync(job);
    int error = synced ? start_thread(job) : ENOMEM;
    if (error) {
        if (synced)
            destroy_sync(job);
        job_free(job);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "no thread for a job: %s", strerror(error));
    }
    *out = job;
    return ATTUNE_OK;
}

void attune_tune_job_destroy(attune_tune_job **address)
{
    if (!address || !*address)
        return;
    struct attune_tune_job *job = *address;
    *address = NULL;
    attune_tune_cancel(job);
    pthread_join(job->thread, NULL);
    destroy_sync(job);
    job_free(job);
}

/* ---- from any thread */

attune_status attune_tune_poll(attune_tune_job *job, attune_tune_state *out)
{
    if (!job || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", job ? "out" : "job");
    pthread_mutex_lock(&job->mutex);
    *out = job->state;
    pthread_mutex_unlock(&job->mutex);
    return ATTUNE_OK;
}

void attune_tune_cancel(attune_tune_job *job)
{
    if (!job)
        return;
    pthread_mutex_lock(&job->mutex);
    job->cancelled = true;
    pthread_mutex_unlock(&job->mutex);
}

/* Under the mutex. Real time, whatever clock tests tune by. */
static void wait_for(struct attune_tune_job *job, double seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (seconds > 0 && seconds < MAX_WAIT_SECONDS) {
        double whole = floor(seconds);
        end.tv_sec += (time_t)whole;
        end.tv_nsec += (long)((seconds - whole) * 1e9);
        if (end.tv_nsec >= 1000000000) {
            end.tv_sec++;
            end.tv_nsec -= 1000000000;
        }
    }
    bool forever = seconds < 0 || seconds >= MAX_WAIT_SECONDS;
    int error = 0;
    while (!job->state.finished && !error)
        error = forever ? pthread_cond_wait(&job->changed, &job->mutex)
                        : pthread_cond_timedwait(&job->changed, &job->mutex, &end);
}

/* Under the mutex. */
static attune_status take_result(struct attune_tune_job *job, attune_plan **plan, attune_tune_summary *summary)
{
    if (!job->state.finished)
        return set_error(ATTUNE_ERROR_BUSY, "the job is in phase %s, after %d tests", job->state.phase,
                         job->state.tests);
    if (summary)
        *summary = job->summary;
    if (job->status)
        return set_error(job->status, "%s", job->error);
    if (!plan)
        return ATTUNE_OK;
    if (job->taken)
        return set_error(ATTUNE_ERROR_MISMATCH, "the job's plan was given before");
    *plan = job->plan;
    job->plan = NULL;
    job->taken = true;
    return ATTUNE_OK;
}

attune_status attune_tune_wait(attune_tune_job *job, double timeout_seconds, attune_plan **plan,
                               attune_tune_summary *summary)
{
    if (plan)
        *plan = NULL;
    if (!job)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "job is NULL");
    if (isnan(timeout_seconds))
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "timeout_seconds is not a number");
    pthread_mutex_lock(&job->mutex);
    wait_for(job, timeout_seconds);
    attune_status status = take_result(job, plan, summary);
    pthread_mutex_unlock(&job->mutex);
    return status;
}
