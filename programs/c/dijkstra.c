/* Shortest paths by Dijkstra's algorithm with a binary heap: a road map read from text, adjacency lists on the heap. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PLACES 32
#define INFINITY UINT_MAX

typedef struct Edge {
    int to;
    unsigned length;
    struct Edge *next;
} Edge;

typedef struct {
    char name[12];
    Edge *edges;
    unsigned distance;
    int previous;
    int heap_index;  /* -1: not in the heap */
} Place;

static Place places[MAX_PLACES];
static int place_count;
static int heap[MAX_PLACES];
static int heap_size;

static int place(const char *name)
{
    for (int i = 0; i < place_count; i++)
        if (!strcmp(places[i].name, name))
            return i;
    if (place_count == MAX_PLACES) {
        fprintf(stderr, "too many places\n");
        exit(1);
    }
    strncpy(places[place_count].name, name, sizeof places[0].name - 1);
    return place_count++;
}

static void add_edge(int from, int to, unsigned length)
{
    Edge *e = malloc(sizeof(Edge));
    if (e == NULL)
        exit(1);
    e->to = to;
    e->length = length;
    e->next = places[from].edges;
    places[from].edges = e;
}

static void heap_set(int i, int p)
{
    heap[i] = p;
    places[p].heap_index = i;
}

static void sift_up(int i)
{
    int p = heap[i];
    while (i > 0) {
        int parent = (i - 1) / 2;
        if (places[heap[parent]].distance <= places[p].distance)
            break;
        heap_set(i, heap[parent]);
        i = parent;
    }
    heap_set(i, p);
}

static void sift_down(int i)
{
    int p = heap[i];
    for (;;) {
        int child = 2 * i + 1;
        if (child >= heap_size)
            break;
        if (child + 1 < heap_size && places[heap[child + 1]].distance < places[heap[child]].distance)
            child++;
        if (places[heap[child]].distance >= places[p].distance)
            break;
        heap_set(i, heap[child]);
        i = child;
    }
    heap_set(i, p);
}

static void decrease(int p, unsigned distance)
{
    places[p].distance = distance;
    if (places[p].heap_index < 0) {
        heap_set(heap_size, p);
        heap_size++;
    }
    sift_up(places[p].heap_index);
}

static int extract_nearest(void)
{
    int nearest = heap[0];
    places[nearest].heap_index = -1;
    if (--heap_size > 0) {
        heap_set(0, heap[heap_size]);
        sift_down(0);
    }
    return nearest;
}

static void dijkstra(int start)
{
    for (int i = 0; i < place_count; i++) {
        places[i].distance = INFINITY;
        places[i].previous = -1;
        places[i].heap_index = -1;
    }
    heap_size = 0;
    decrease(start, 0);
    while (heap_size > 0) {
        int here = extract_nearest();
        for (const Edge *e = places[here].edges; e; e = e->next) {
            unsigned distance = places[here].distance + e->length;
            if (distance < places[e->to].distance) {
                places[e->to].previous = here;
                decrease(e->to, distance);
            }
        }
    }
}

static void print_path(int p)
{
    if (places[p].previous >= 0) {
        print_path(places[p].previous);
        printf(" - ");
    }
    printf("%s", places[p].name);
}

static void report(const char *name)
{
    int start = place(name);
    dijkstra(start);
    printf("from %s:\n", name);
    for (int i = 0; i < place_count; i++) {
        if (i == start)
            continue;
        if (places[i].distance == INFINITY) {
            printf("  %-10s    no way\n", places[i].name);
            continue;
        }
        printf("  %-10s %4u  ", places[i].name, places[i].distance);
        print_path(i);
        printf("\n");
    }
}

/* "ab:7" is a road both ways, "ab>7" one way. */
static void read_roads(const char *text)
{
    char from[12], to[12];
    while (*text) {
        unsigned length = 0;
        int i = 0, one_way;
        while (*text != '-')
            from[i++] = *text++;
        from[i] = '\0';
        text++;
        for (i = 0; *text != ':' && *text != '>';)
            to[i++] = *text++;
        to[i] = '\0';
        one_way = *text++ == '>';
        while (*text >= '0' && *text <= '9')
            length = length * 10 + (*text++ - '0');
        add_edge(place(from), place(to), length);
        if (!one_way)
            add_edge(place(to), place(from), length);
        while (*text == ' ')
            text++;
    }
}

int main(void)
{
    read_roads("mill-church:7 mill-bridge:9 mill-inn:14 church-bridge:10 church-farm:15 bridge-farm:11 bridge-inn:2 "
               "farm-quarry:6 inn-quarry:9 quarry-harbour>3 harbour-mill>30 tower-mill>1");
    report("mill");
    report("harbour");
    for (int i = 0; i < place_count; i++) {
        Edge *e = places[i].edges;
        while (e) {
            Edge *next = e->next;
            free(e);
            e = next;
        }
    }
    return 0;
}
