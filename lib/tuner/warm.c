/* SPDX-License-Identifier: Apache-2.0
 * attune_warm: which configurations the plans of some problems may choose, and workers that compile them as an engine
 * would, with the user's cache open, so that their binaries are stored. */
#include "warm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "aside.h"
#include "desc.h"
#include "portfolio.h"

#define MAX_WORKERS 64
#define MAX_OPTIONS 4096
/* Programs that one request may compile. */
#define PROGRAMS_PER_REQUEST 6

/* A configuration's kernel, or the utilities of a descriptor. */
struct warm_job {
    const attune_problem *problem;
    char config[ATTUNE_CONFIG_TEXT_MAX];
    char hash[HASH_HEX_SIZE]; /* of all that goes into its programs */
    bool utilities;
};

struct warming {
    struct attune_target *target;
    const attune_warm_options *options;
    struct warm_job *jobs;
    size_t count, capacity;
    uint64_t start_ns;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    size_t next, done;
    size_t told;     /* the done that progress knows of: nothing more is begun before */
    int32_t running; /* threads */
    bool stop;
    attune_warm_result *result;
    attune_status status; /* first error that ends all, and its text */
    char error[512];
};

/* ---- what is to be compiled */

static void hash_text(struct strbuf *text, char hash[HASH_HEX_SIZE])
{
    hash_hex(text->text ? text->text : "", text->length, hash);
    strbuf_free(text);
}

/* Each once. */
static attune_status add_job(struct warming *w, const attune_problem *problem, const struct kernel_config *config,
                             bool utilities, struct strbuf *programs)
{
    struct warm_job job = {.problem = problem, .utilities = utilities};
    kernel_config_format(config, job.config, sizeof job.config);
    hash_text(programs, job.hash);
    for (size_t i = 0; i < w->count; i++)
        if (!strcmp(w->jobs[i].hash, job.hash))
            return ATTUNE_OK;
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 16;
        struct warm_job *jobs = realloc(w->jobs, capacity * sizeof *jobs);
        if (!jobs)
            return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %zu programs", capacity);
        w->jobs = jobs;
        w->capacity = capacity;
    }
    w->jobs[w->count++] = job;
    return ATTUNE_OK;
}

static attune_status add_config(struct warming *w, const attune_problem *problem, const struct kernel_config *config)
{
    const struct kernel_facts facts = target_facts(w->target, problem);
    char options[MAX_OPTIONS];
    struct strbuf programs = {0};
    if (!kernel_options_format(&facts, config, options, sizeof options))
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the compiler's options exceed %d bytes", MAX_OPTIONS - 1);
    strbuf_printf(&programs, "%s|%s", family_at(config->family)->name, options);
    return add_job(w, problem, config, false, &programs);
}

/* With a configuration that is compiled anyway. */
static attune_status add_utilities(struct warming *w, const attune_problem *problem, const struct kernel_config *config)
{
    const attune_attention_desc *d = &problem->desc;
    struct strbuf programs = {0};
    strbuf_printf(&programs, "utilities %d %d %d %d %d %d %d", d->head_dim_qk, d->head_dim_vo, d->q_dtype, d->kv_dtype,
                  d->o_dtype, d->mask, problem->page_size > 0);
    return add_job(w, problem, config, true, &programs);
}

/* What the problem's own plan takes. */
static attune_status add_answer(struct warming *w, const attune_problem *problem)
{
    struct cache_key key;
    struct selection answer;
    attune_status status = target_answer(w->target, problem, &key, &answer);
    if (status == ATTUNE_OK)
        status = add_config(w, problem, &answer.config);
    return status == ATTUNE_OK ? add_utilities(w, problem, &answer.config) : status;
}

/* What plans take that are for more shapes of its descriptor: winners of other shapes, and the untuned default. */
static attune_status add_others(struct warming *w, const attune_problem *problem)
{
    const struct backend_choice *choice = &w->target->choice;
    const struct kernel_facts facts = target_facts(w->target, problem);
    struct cache_key key;
    struct aside aside;
    struct portfolio portfolio;
    struct kernel_config untuned;
    attune_status status = target_key(w->target, problem, &key);
    if (status != ATTUNE_OK)
        return status;
    aside_find(w->target->cache, &key, &aside);
    portfolio_find_valid(w->target->cache, &key, &choice->limits, &facts, &aside, &portfolio);
    for (int32_t i = 0; status == ATTUNE_OK && i < portfolio.num_configs; i++)
        status = add_config(w, problem, &portfolio.configs[i]);
    if (status == ATTUNE_OK && select_default(&aside, choice->backend, &choice->limits, &facts, &untuned))
        status = add_config(w, problem, &untuned);
    return status;
}

/* ---- workers */

static double seconds_since(uint64_t start_ns)
{
    return (double)(clock_now_ns() - start_ns) * 1e-9;
}

/* The next job, or NULL. The first of each worker is begun whatever the time. */
static const struct warm_job *take_job(struct warming *w)
{
    pthread_mutex_lock(&w->mutex);
    while (w->told < w->done && !w->stop)
        pthread_cond_wait(&w->changed, &w->mutex);
    bool late = w->options->max_seconds > 0 && w->next >= (size_t)w->result->workers &&
                seconds_since(w->start_ns) > w->options->max_seconds;
    const struct warm_job *job = w->stop || late || w->next == w->count ? NULL : &w->jobs[w->next++];
    pthread_mutex_unlock(&w->mutex);
    return job;
}

/* Ends all, unless something else did before. Takes the thread's last error. */
static void give_up(struct warming *w, attune_status status)
{
    pthread_mutex_lock(&w->mutex);
    if (w->status == ATTUNE_OK) {
        w->status = status;
        copy_string(w->error, sizeof w->error, attune_last_error());
    }
    w->stop = true;
    pthread_mutex_unlock(&w->mutex);
}

static int32_t reply_number(const json_t *reply, const char *name)
{
    return (int32_t)json_integer_value(json_object_get(reply, name));
}

/* reply is NULL where the request failed. */
static void count_job(struct warming *w, const struct warm_job *job, const struct session *session, const json_t *reply)
{
    const char *reason = reply ? json_string_value(json_object_get(reply, "reason")) : session->reason;
    int32_t built = reply_number(reply, "built"), lost = reply_number(reply, "lost");
    attune_warm_result *r = w->result;
    pthread_mutex_lock(&w->mutex);
    w->done++;
    r->compiled += built;
    r->found += reply_number(reply, "loaded");
    r->failed += !reply;
    if (!reply && !r->reason[0])
        snprintf(r->reason, sizeof r->reason, "%.90s: %.160s", job->config, reason);
    if (lost && w->status == ATTUNE_OK) {
        w->status = ATTUNE_ERROR_IO;
        snprintf(w->error, sizeof w->error, "a compiled kernel could not be stored: %s", reason ? reason : "");
        w->stop = true;
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

static void run_job(struct warming *w, struct session *session, const struct warm_job *job)
{
    const struct cache_places *places = &w->target->places;
    json_t *reply = NULL, *request = json_pack("{s:s,s:s,s:s,s:b,s:s,s:s,s:s}", "op", "warm", "problem",
                                               attune_problem_text(job->problem), "config", job->config, "utilities",
                                               (int)job->utilities, "user", places->user, "site", places->site,
                                               "shipped", places->shipped);
    double deadline = PROGRAMS_PER_REQUEST * session->deadlines.build + session->deadlines.first_run;
    session_request(session, request, deadline, &reply);
    count_job(w, job, session, reply);
    json_decref(reply);
    session->builds++;
    session_recycle(session);
}

static void *worker_main(void *priv)
{
    struct warming *w = priv;
    struct session session;
    attune_status status = session_init(&session, w->target->worker);
    const struct warm_job *job;
    target_copy_options(w->target, &session);
    while (status == ATTUNE_OK && (job = take_job(w))) {
        status = target_open_session(w->target, &session);
        if (status == ATTUNE_OK)
            run_job(w, &session, job);
    }
    if (status != ATTUNE_OK)
        give_up(w, status);
    session_close(&session);
    pthread_mutex_lock(&w->mutex);
    w->running--;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* Until all threads are through. On the caller's thread, as every callback. */
static void tell_progress(struct warming *w)
{
    pthread_mutex_lock(&w->mutex);
    while (w->running) {
        size_t done = w->done;
        if (w->told == done) {
            pthread_cond_wait(&w->changed, &w->mutex);
            continue;
        }
        pthread_mutex_unlock(&w->mutex);
        bool stop = w->options->progress && w->options->progress(w->options->progress_priv, done, w->count);
        pthread_mutex_lock(&w->mutex);
        w->stop |= stop;
        w->told = done;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
}

static void run_workers(struct warming *w)
{
    pthread_t threads[MAX_WORKERS];
    int started = 0;
    pthread_mutex_lock(&w->mutex); /* threads that fail at once wait until all are counted */
    while (started < w->result->workers && !pthread_create(&threads[started], NULL, worker_main, w))
        started++;
    w->running = started;
    pthread_mutex_unlock(&w->mutex);
    tell_progress(w);
    if (!started && w->count) {
        set_error(ATTUNE_ERROR_WORKER, "no thread to drive workers from");
        give_up(w, ATTUNE_ERROR_WORKER);
    }
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

/* ---- the call */

static int32_t num_workers(const struct warming *w)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = w->options->workers ? (size_t)w->options->workers : processors > 0 ? (size_t)processors : 1;
    if (wanted > MAX_WORKERS)
        wanted = MAX_WORKERS;
    return (int32_t)(wanted < w->count ? wanted : w->count);
}

attune_status warm_problems(struct attune_target *target, const attune_problem *const *problems, size_t num_problems,
                            const attune_warm_options *options, attune_warm_result *out)
{
    struct warming w = {.target = target, .options = options, .start_ns = clock_now_ns(), .result = out};
    attune_status status = ATTUNE_OK;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; status == ATTUNE_OK && i < num_problems; i++)
        status = add_answer(&w, problems[i]);
    for (size_t i = 0; status == ATTUNE_OK && i < num_problems; i++)
        status = add_others(&w, problems[i]);
    session_stop(&target->session); /* the device is the workers' */
    if (status == ATTUNE_OK) {
        out->workers = num_workers(&w);
        pthread_mutex_init(&w.mutex, NULL);
        pthread_cond_init(&w.changed, NULL);
        run_workers(&w);
        pthread_cond_destroy(&w.changed);
        pthread_mutex_destroy(&w.mutex);
        status = w.status == ATTUNE_OK ? ATTUNE_OK : set_error(w.status, "%s", w.error);
    }
    out->tasks = (int32_t)w.count;
    out->left_out = (int32_t)(w.count - w.done);
    out->seconds = seconds_since(w.start_ns);
    free(w.jobs);
    return status;
}

attune_status attune_warm(attune_target *target, const attune_problem *const *problems, size_t num_problems,
                          const attune_warm_options *options, attune_warm_result *out)
{
    static const attune_warm_options defaults = ATTUNE_WARM_OPTIONS_INIT;
    if (!target || !problems || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !target ? "target" : !problems ? "problems" : "out");
    if (!options)
        options = &defaults;
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status == ATTUNE_OK && (options->workers < 0 || !(options->max_seconds >= 0)))
        status = set_error(ATTUNE_ERROR_INVALID_SIZE, "options.workers and options.max_seconds must not be negative");
    for (size_t i = 0; status == ATTUNE_OK && i < num_problems; i++)
        status = problems[i] ? attune_problem_supported(problems[i])
                             : set_error(ATTUNE_ERROR_NULL_ARGUMENT, "problems[%zu] is NULL", i);
    if (status == ATTUNE_OK && !target->places.user[0])
        status = set_error(ATTUNE_ERROR_IO,
                           "there is no cache folder to keep compiled kernels in: none of options.cache_dir, "
                           "ATTUNE_CACHE_DIR, XDG_CACHE_HOME and HOME names one");
    if (status != ATTUNE_OK)
        return status;
    cache_sweep(target->cache);
    return warm_problems(target, problems, num_problems, options, out);
}
