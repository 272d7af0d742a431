/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memfd_create, pipe2, posix_spawn_file_actions_addclosefrom_np */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.h"
#include "protocol.h"

/* The supervisor's descriptors of a worker lie from this number on, and there are so many while it starts. */
#define LIFTED 16
#define DESCRIPTORS 7

struct spawn_job {
    const char *program;
    char *const *envp;
    posix_spawn_file_actions_t *actions;
    pid_t pid;
    int error;
};

struct spawner {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct spawn_job *job; /* set by the caller, cleared by the thread */
    bool stop;
};

static int start_process(struct spawn_job *job)
{
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);
    if (error)
        return error;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    char parent[32];
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    char *argv[] = {(char *)job->program, parent, NULL};
    error = posix_spawn(&job->pid, job->program, job->actions, &attributes, argv, job->envp);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static void *spawner_main(void *priv)
{
    struct spawner *spawner = priv;
    pthread_mutex_lock(&spawner->mutex);
    while (!spawner->stop) {
        if (spawner->job) {
            spawner->job->error = start_process(spawner->job);
            spawner->job = NULL;
            pthread_cond_broadcast(&spawner->changed);
        }
        pthread_cond_wait(&spawner->changed, &spawner->mutex);
    }
    pthread_mutex_unlock(&spawner->mutex);
    return NULL;
}

attune_status spawner_create(struct spawner **out)
{
    *out = NULL;
    struct spawner *spawner = calloc(1, sizeof *spawner);
    if (!spawner)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "no memory for the thread that starts workers");
    folder_sweep();
    pthread_mutex_init(&spawner->mutex, NULL);
    pthread_cond_init(&spawner->changed, NULL);
    /* The caller's signal handlers must not run on our thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&spawner->thread, NULL, spawner_main, spawner);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        pthread_cond_destroy(&spawner->changed);
        pthread_mutex_destroy(&spawner->mutex);
        free(spawner);
        return set_error(ATTUNE_ERROR_WORKER, "no thread to start workers from: %s", strerror(error));
    }
    *out = spawner;
    return ATTUNE_OK;
}

void spawner_destroy(struct spawner **spawner)
{
    struct spawner *s = *spawner;
    *spawner = NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

static void submit(struct spawner *spawner, struct spawn_job *job)
{
    pthread_mutex_lock(&spawner->mutex);
    spawner->job = job;
    pthread_cond_broadcast(&spawner->changed);
    while (spawner->job)
        pthread_cond_wait(&spawner->changed, &spawner->mutex);
    pthread_mutex_unlock(&spawner->mutex);
}

extern char **environ;

/* The environment with the worker's private folders; free with free_environment. */
static char **worker_environment(const char *folder)
{
    static const char *const ours[] = {"POCL_CACHE_DIR=%s/kernels", "TMPDIR=%s", "POCL_SIGFPE_HANDLER=0"};
    enum { OURS = sizeof ours / sizeof *ours };
    size_t count = 0;
    while (environ[count])
        count++;
    char **result = calloc(count + OURS + 1, sizeof *result);
    size_t kept = 0;
    for (size_t i = 0; result && i < count; i++) {
        bool replaced = false;
        for (int j = 0; j < OURS; j++)
            replaced |= !strncmp(environ[i], ours[j], (size_t)(strchr(ours[j], '=') - ours[j]) + 1);
        if (!replaced && !(result[kept++] = strdup(environ[i])))
            goto failed;
    }
    for (int j = 0; result && j < OURS; j++) {
        struct strbuf text = {0};
        const char *place = strstr(ours[j], "%s");
        strbuf_append(&text, ours[j], place ? (size_t)(place - ours[j]) : strlen(ours[j]));
        if (place)
            strbuf_printf(&text, "%s%s", folder, place + 2);
        if (!(result[kept++] = strbuf_take(&text)))
            goto failed;
    }
    return result;
failed:
    for (size_t i = 0; i < kept; i++)
        free(result[i]);
    free(result);
    return NULL;
}

static void free_environment(char **envp)
{
    for (size_t i = 0; envp && envp[i]; i++)
        free(envp[i]);
    free(envp);
}

/* Moves *fd above the worker's fixed descriptors, so that placing one of those overwrites no other. */
static bool lift(int *fd)
{
    if (*fd < 0)
        return false;
    int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, LIFTED);
    if (lifted < 0)
        return false;
    close(*fd);
    *fd = lifted;
    return true;
}

struct pipes {
    int theirs, errors; /* the worker's ends */
};

static bool make_pipes(struct worker_process *process, struct pipes *pipes)
{
    int pair[2], errors[2];
    pipes->theirs = pipes->errors = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return false;
    process->socket = pair[0];
    pipes->theirs = pair[1];
    if (pipe2(errors, O_CLOEXEC))
        return false;
    process->stderr_pipe = errors[0];
    pipes->errors = errors[1];
    process->shared = memfd_create("attune-outputs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (process->shared >= 0)
        fcntl(process->shared, F_ADD_SEALS, F_SEAL_SHRINK);
    return lift(&process->socket) && lift(&pipes->theirs) && lift(&process->stderr_pipe) && lift(&pipes->errors) &&
           lift(&process->shared) && !fcntl(process->stderr_pipe, F_SETFL, O_NONBLOCK);
}

static int place_descriptors(posix_spawn_file_actions_t *actions, const struct worker_process *process,
                             const struct pipes *pipes)
{
    int error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, pipes->errors, STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, pipes->errors, STDERR_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, pipes->theirs, WORKER_SOCKET);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, process->shared, WORKER_SHARED);
    if (!error) /* the host program's descriptors need not be close-on-exec */
        error = posix_spawn_file_actions_addclosefrom_np(actions, WORKER_FIRST_UNUSED);
    return error;
}

static attune_status too_few_descriptors(int error)
{
    struct rlimit limit;
    if (error == ENFILE || getrlimit(RLIMIT_NOFILE, &limit))
        return set_error(ATTUNE_ERROR_ENVIRONMENT, "no descriptors for a worker: %s", strerror(error));
    return set_error(
        ATTUNE_ERROR_ENVIRONMENT,
        "no descriptors for a worker: this process may have %lld (ulimit -n); a worker takes %d of numbers from %d on",
        (long long)limit.rlim_cur, DESCRIPTORS, LIFTED);
}

/* Why posix_spawn failed: the program, or what processes may do here. */
static attune_status not_started(const char *program, int error)
{
    if (error == EAGAIN || error == ENOMEM)
        return set_error(ATTUNE_ERROR_ENVIRONMENT, "no process for a worker: %s (ulimit -u, memory)", strerror(error));
    return set_error(ATTUNE_ERROR_WORKER, "worker \"%s\" cannot be started: %s; ATTUNE_WORKER may name another",
                     program, strerror(error));
}

static attune_status start_in_folder(struct spawner *spawner, const char *program, struct worker_process *process,
                                     struct pipes *pipes)
{
    posix_spawn_file_actions_t actions;
    struct spawn_job job = {.program = program, .actions = &actions};
    if (!make_pipes(process, pipes))
        return too_few_descriptors(errno);
    if (posix_spawn_file_actions_init(&actions))
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "no memory to start a worker");
    char **envp = worker_environment(process->folder);
    int error = envp ? place_descriptors(&actions, process, pipes) : ENOMEM;
    attune_status status = ATTUNE_OK;
    if (error)
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "no memory to start a worker");
    if (status == ATTUNE_OK) {
        job.envp = envp;
        submit(spawner, &job);
        process->pid = job.error ? 0 : job.pid;
        status = job.error ? not_started(program, job.error) : ATTUNE_OK;
    }
    posix_spawn_file_actions_destroy(&actions);
    free_environment(envp);
    return status;
}

attune_status spawner_start(struct spawner *spawner, const char *program, const char *spare, struct worker_process *out,
                            char *note, size_t note_size)
{
    struct worker_process process = WORKER_PROCESS_NONE;
    struct pipes pipes = {-1, -1};
    attune_status status =
        folder_make_temporary(spare, process.folder, sizeof process.folder, &process.folder_lock, note, note_size);
    if (status == ATTUNE_OK)
        status = start_in_folder(spawner, program, &process, &pipes);
    if (pipes.theirs >= 0)
        close(pipes.theirs);
    if (pipes.errors >= 0)
        close(pipes.errors);
    if (status != ATTUNE_OK) {
        worker_process_end(&process);
        return status;
    }
    *out = process;
    return ATTUNE_OK;
}

static struct worker_exit reap(pid_t pid)
{
    struct worker_exit result = {false, -1, 0};
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)pid, &info, WEXITED)) {
        if (errno != EINTR)
            return result; /* a host that ignores SIGCHLD */
    }
    result.known = true;
    if (info.si_code == CLD_EXITED)
        result.code = info.si_status;
    else
        result.signal = info.si_status;
    return result;
}

struct worker_exit worker_process_end(struct worker_process *process)
{
    struct worker_exit result = {false, -1, 0};
    if (process->pid > 0) {
        /* An unreaped pid is ours, dead or alive, so its group cannot be another's. */
        kill(-process->pid, SIGKILL);
        kill(process->pid, SIGKILL);
        result = reap(process->pid);
    }
    if (process->socket >= 0)
        close(process->socket);
    if (process->stderr_pipe >= 0)
        close(process->stderr_pipe);
    if (process->shared >= 0)
        close(process->shared);
    if (process->folder[0])
        folder_remove(process->folder);
    if (process->folder_lock >= 0)
        close(process->folder_lock);
    *process = (struct worker_process)WORKER_PROCESS_NONE;
    return result;
}

int64_t worker_process_rss(const struct worker_process *process)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    long long total, resident;
    return sscanf(text, "%lld %lld", &total, &resident) == 2 ? resident * sysconf(_SC_PAGESIZE) : 0;
}
