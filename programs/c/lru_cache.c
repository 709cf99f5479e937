/* A cache with least-recently-used eviction: a hash map with string keys and chaining, and a doubly linked list in the
 * order of use. Prints what a small workload does to it. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    char *key;
    uint64_t value;
    uint32_t hash;
    struct entry *chain;          /* next in the same bucket */
    struct entry *newer, *older;  /* the order of use */
} entry_t;

typedef struct cache {
    entry_t **buckets;
    size_t bucket_count;
    size_t size, capacity;
    entry_t *newest, *oldest;
    unsigned hits, misses, evictions;
} cache_t;

static uint32_t hash_string(const char *s)
{
    uint32_t h = 5381;
    while (*s)
        h = (h << 5) + h + (unsigned char)*s++;
    return h;
}

static char *duplicate(const char *s)
{
    char *copy = malloc(strlen(s) + 1);
    if (copy)
        strcpy(copy, s);
    return copy;
}

static cache_t *cache_new(size_t capacity)
{
    cache_t *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->capacity = capacity;
    c->bucket_count = 4;
    c->buckets = calloc(c->bucket_count, sizeof *c->buckets);
    return c;
}

static void unlink_use(cache_t *c, entry_t *e)
{
    if (e->newer)
        e->newer->older = e->older;
    else
        c->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        c->oldest = e->newer;
}

static void link_newest(cache_t *c, entry_t *e)
{
    e->newer = NULL;
    e->older = c->newest;
    if (c->newest)
        c->newest->newer = e;
    c->newest = e;
    if (!c->oldest)
        c->oldest = e;
}

static entry_t **bucket_of(cache_t *c, uint32_t hash)
{
    return &c->buckets[hash & (c->bucket_count - 1)];
}

static entry_t *find(cache_t *c, const char *key, uint32_t hash)
{
    for (entry_t *e = *bucket_of(c, hash); e; e = e->chain)
        if (e->hash == hash && strcmp(e->key, key) == 0)
            return e;
    return NULL;
}

/* Doubles the number of buckets and moves every chain. */
static void rehash(cache_t *c)
{
    size_t old_count = c->bucket_count;
    entry_t **old = c->buckets;
    c->bucket_count *= 2;
    c->buckets = calloc(c->bucket_count, sizeof *c->buckets);
    for (size_t i = 0; i < old_count; i++) {
        entry_t *e = old[i];
        while (e) {
            entry_t *next = e->chain;
            entry_t **bucket = bucket_of(c, e->hash);
            e->chain = *bucket;
            *bucket = e;
            e = next;
        }
    }
    free(old);
}

static void evict_oldest(cache_t *c)
{
    entry_t *victim = c->oldest;
    entry_t **p = bucket_of(c, victim->hash);
    while (*p != victim)
        p = &(*p)->chain;
    *p = victim->chain;
    unlink_use(c, victim);
    printf("  evict %s\n", victim->key);
    free(victim->key);
    free(victim);
    c->size--;
    c->evictions++;
}

static bool cache_get(cache_t *c, const char *key, uint64_t *value)
{
    entry_t *e = find(c, key, hash_string(key));
    if (!e) {
        c->misses++;
        return false;
    }
    c->hits++;
    unlink_use(c, e);
    link_newest(c, e);
    *value = e->value;
    return true;
}

static void cache_put(cache_t *c, const char *key, uint64_t value)
{
    uint32_t hash = hash_string(key);
    entry_t *e = find(c, key, hash);
    if (e) {
        e->value = value;
        unlink_use(c, e);
        link_newest(c, e);
        return;
    }
    if (c->size == c->capacity)
        evict_oldest(c);
    if (c->size >= c->bucket_count)
        rehash(c);
    e = calloc(1, sizeof *e);
    e->key = duplicate(key);
    e->value = value;
    e->hash = hash;
    e->chain = *bucket_of(c, hash);
    *bucket_of(c, hash) = e;
    link_newest(c, e);
    c->size++;
}

static void cache_print(const cache_t *c)
{
    printf("  [");
    for (const entry_t *e = c->newest; e; e = e->older)
        printf("%s%s=%llu", e == c->newest ? "" : " ", e->key, (unsigned long long)e->value);
    printf("] of %zu, %zu buckets\n", c->capacity, c->bucket_count);
}

static void cache_free(cache_t *c)
{
    while (c->newest) {
        entry_t *e = c->newest;
        c->newest = e->older;
        free(e->key);
        free(e);
    }
    free(c->buckets);
    free(c);
}

/* An expensive function behind the cache. */
static uint64_t fibonacci(unsigned n)
{
    uint64_t a = 0, b = 1;
    while (n--) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    return a;
}

static uint64_t cached_fibonacci(cache_t *c, unsigned n)
{
    char key[16];
    uint64_t value;
    snprintf(key, sizeof key, "fib:%u", n);
    if (!cache_get(c, key, &value)) {
        value = fibonacci(n);
        cache_put(c, key, value);
    }
    return value;
}

int main(void)
{
    static const unsigned requests[] = {10, 20, 30, 10, 90, 40, 50, 20, 10, 60, 70, 90, 10};
    cache_t *c = cache_new(5);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        uint64_t value = cached_fibonacci(c, requests[i]);
        printf("fib(%u) = %llu\n", requests[i], (unsigned long long)value);
    }
    cache_print(c);
    cache_put(c, "fib:10", 0);
    cache_put(c, "answer", 42);
    cache_print(c);
    printf("%u hits, %u misses, %u evictions\n", c->hits, c->misses, c->evictions);
    cache_free(c);
    return 0;
}
