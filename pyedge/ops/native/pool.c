// The thread pool: see pool.h.
#include "pool.h"

#include <stddef.h>

// How often a thread looks for new work before it sleeps: about a hundred microseconds, more than lie between the
// calls of a step.
#define PATIENCE 4000

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void do_items(train_pool *pool, int thread) {
    for (;;) {
        const int item = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);
        if (item >= pool->items) {
            return;
        }
        pool->work(pool->job, item, thread);
    }
}

static void *serve(void *argument) {
    train_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    const int thread = ++pool->idle;  // while the pool starts, `idle` numbers its threads
    uint32_t seen = 0;
    pthread_cond_signal(&pool->end);
    for (;;) {
        pthread_mutex_unlock(&pool->lock);
        for (int n = 0; n < PATIENCE && __atomic_load_n(&pool->round, __ATOMIC_ACQUIRE) == seen; n++) {
            pause_briefly();
        }
        pthread_mutex_lock(&pool->lock);
        while (pool->round == seen && !pool->stop) {
            pthread_cond_wait(&pool->begin, &pool->lock);
        }
        if (pool->stop) {
            break;
        }
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        do_items(pool, thread);
        pthread_mutex_lock(&pool->lock);
        __atomic_store_n(&pool->idle, pool->idle + 1, __ATOMIC_RELEASE);
        if (pool->idle == pool->threads - 1) {
            pthread_cond_signal(&pool->end);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int train_pool_start(train_pool *pool, int threads) {
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->end, NULL);
    pool->round = 0;
    pool->idle = pool->stop = pool->items = pool->next = 0;
    pool->threads = 1;
    while (pool->threads < threads && pool->threads < TRAIN_THREADS &&
           pthread_create(&pool->thread[pool->threads], NULL, serve, pool) == 0) {
        pool->threads++;
    }
    pthread_mutex_lock(&pool->lock);
    while (pool->idle < pool->threads - 1) {
        pthread_cond_wait(&pool->end, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return pool->threads;
}

void train_pool_stop(train_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->stop = 1;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    for (int k = 1; k < pool->threads; k++) {
        pthread_join(pool->thread[k], NULL);
    }
    pool->threads = 1;
}

void train_pool_run(train_pool *pool, train_work work, const void *job, int items) {
    pool->work = work;
    pool->job = job;
    pool->items = items;
    pool->next = 0;
    if (pool->threads == 1 || items < 2) {
        do_items(pool, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->idle = 0;
    __atomic_store_n(&pool->round, pool->round + 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    do_items(pool, 0);
    for (int n = 0; n < PATIENCE && __atomic_load_n(&pool->idle, __ATOMIC_ACQUIRE) < pool->threads - 1; n++) {
        pause_briefly();
    }
    pthread_mutex_lock(&pool->lock);
    while (pool->idle < pool->threads - 1) {
        pthread_cond_wait(&pool->end, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}
