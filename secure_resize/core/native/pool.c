/* A pool of threads, made when first asked for, made anew in a forked child.
 *
 * One job runs at a time. A caller that finds the pool busy does its work alone: data loaders parallelise outside, and
 * nobody ever waits for somebody else's image. Workers sleep on a condition between jobs and end with the process.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "native.h"

#define MAX_WORKERS 1023

typedef struct {
    void (*task)(void* context, int64_t index, int worker);
    void* context;
    int64_t tasks;
    atomic_llong next; /* the first index that nobody has taken */
} Job;

/* All below `mutex`, but for the job's counter. A fork leaves the child with whatever another thread was doing to
 * these, so the child starts from scratch (reset_in_child); the parent's workers do not exist there. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static pthread_once_t fork_handler = PTHREAD_ONCE_INIT;
static Job* current;    /* the job that workers may join, or NULL */
static int workers;     /* threads there are */
static int wanted;      /* workers that may still join the current job */
static int joined;      /* workers that have joined and not left the current job */
static int next_worker; /* number of the next worker to join; 0 is the caller */
static bool busy;

static void reset_in_child(void) {
    pthread_mutex_t fresh_mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t fresh_cond = PTHREAD_COND_INITIALIZER;
    mutex = fresh_mutex;
    wake = fresh_cond;
    done = fresh_cond;
    current = NULL;
    workers = wanted = joined = 0;
    busy = false;
}

static void install_fork_handler(void) { (void)pthread_atfork(NULL, NULL, reset_in_child); }

static void work(Job* job, int worker) {
    for (;;) {
        long long index = atomic_fetch_add(&job->next, 1);
        if (index >= job->tasks) return;
        job->task(job->context, index, worker);
    }
}

static void* worker_main(void* unused) {
    (void)unused;
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (current == NULL || wanted == 0) pthread_cond_wait(&wake, &mutex);
        Job* job = current;
        int worker = next_worker++;
        wanted--;
        joined++;
        pthread_mutex_unlock(&mutex);
        work(job, worker);
        pthread_mutex_lock(&mutex);
        if (--joined == 0) pthread_cond_signal(&done);
    }
    return NULL;
}

/* Make up for missing workers; fewer than asked for is slower, not wrong. Called with the mutex held. */
static void add_workers(int count) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (workers < count) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, worker_main, NULL) != 0) break;
        workers++;
    }
    pthread_attr_destroy(&attributes);
}

void pool_run(void (*task)(void*, int64_t, int), void* context, int64_t tasks, int num_threads) {
    Job job = {task, context, tasks, 0};
    int helpers = num_threads - 1;
    if (helpers > MAX_WORKERS) helpers = MAX_WORKERS;
    if (helpers > tasks - 1) helpers = (int)(tasks - 1);
    if (helpers <= 0) {
        work(&job, 0);
        return;
    }
    pthread_once(&fork_handler, install_fork_handler);
    pthread_mutex_lock(&mutex);
    if (busy) {
        pthread_mutex_unlock(&mutex);
        work(&job, 0);
        return;
    }
    busy = true;
    add_workers(helpers);
    current = &job;
    wanted = helpers < workers ? helpers : workers;
    next_worker = 1;
    for (int i = 0; i < wanted; i++) pthread_cond_signal(&wake);
    pthread_mutex_unlock(&mutex);

    work(&job, 0);

    pthread_mutex_lock(&mutex);
    current = NULL; /* whoever wakes up late finds no job */
    wanted = 0;
    while (joined > 0) pthread_cond_wait(&done, &mutex);
    busy = false;
    pthread_mutex_unlock(&mutex);
}
