/* Linked lists and binary search trees on the heap: insert, delete, reverse, free. */

#include <stdio.h>
#include <stdlib.h>

struct node {
    int value;
    struct node *next;
};

struct tree {
    int key;
    int count;
    struct tree *left, *right;
};

static int live_blocks;

static void *allocate(size_t size)
{
    void *p = malloc(size);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    live_blocks++;
    return p;
}

static void release(void *p)
{
    live_blocks--;
    free(p);
}

/* lists */

static struct node *cons(int value, struct node *next)
{
    struct node *n = allocate(sizeof *n);
    n->value = value;
    n->next = next;
    return n;
}

static struct node *reverse(struct node *list)
{
    struct node *result = NULL;
    while (list) {
        struct node *next = list->next;
        list->next = result;
        result = list;
        list = next;
    }
    return result;
}

static void remove_if(struct node **list, int (*test)(int))
{
    while (*list) {
        struct node *n = *list;
        if (test(n->value)) {
            *list = n->next;
            release(n);
        } else {
            list = &n->next;
        }
    }
}

static void print_list(const char *title, const struct node *list)
{
    printf("%-9s", title);
    for (; list; list = list->next)
        printf(" %d", list->value);
    printf("\n");
}

static int is_odd(int value)
{
    return value & 1;
}

static int any(int value)
{
    (void)value;
    return 1;
}

/* trees */

static struct tree *insert(struct tree *t, int key)
{
    if (!t) {
        t = allocate(sizeof *t);
        t->key = key;
        t->count = 1;
        t->left = t->right = NULL;
    } else if (key < t->key) {
        t->left = insert(t->left, key);
    } else if (key > t->key) {
        t->right = insert(t->right, key);
    } else {
        t->count++;
    }
    return t;
}

static struct tree *delete(struct tree *t, int key)
{
    if (!t)
        return NULL;
    if (key < t->key) {
        t->left = delete(t->left, key);
    } else if (key > t->key) {
        t->right = delete(t->right, key);
    } else if (t->left && t->right) {
        struct tree *successor = t->right;
        while (successor->left)
            successor = successor->left;
        t->key = successor->key;
        t->count = successor->count;
        t->right = delete(t->right, successor->key);
    } else {
        struct tree *child = t->left ? t->left : t->right;
        release(t);
        return child;
    }
    return t;
}

static int height(const struct tree *t)
{
    if (!t)
        return 0;
    int left = height(t->left), right = height(t->right);
    return 1 + (left > right ? left : right);
}

static void print_tree(const struct tree *t)
{
    if (!t)
        return;
    print_tree(t->left);
    printf(" %d", t->key);
    if (t->count > 1)
        printf("x%d", t->count);
    print_tree(t->right);
}

static void free_tree(struct tree *t)
{
    if (!t)
        return;
    free_tree(t->left);
    free_tree(t->right);
    release(t);
}

int main(void)
{
    struct node *list = NULL;
    for (int i = 1; i <= 10; i++)
        list = cons(i * i, list);
    print_list("squares", list);
    list = reverse(list);
    print_list("reversed", list);
    remove_if(&list, is_odd);
    print_list("even", list);
    remove_if(&list, any);

    struct tree *root = NULL;
    unsigned seed = 12345;
    for (int i = 0; i < 20; i++) {
        seed = seed * 1103515245 + 12345;
        root = insert(root, seed >> 16 & 31);
    }
    printf("tree     ");
    print_tree(root);
    printf("\nheight    %d, blocks %d\n", height(root), live_blocks);
    for (int key = 0; key < 32; key += 3)
        root = delete(root, key);
    printf("pruned   ");
    print_tree(root);
    printf("\nheight    %d, blocks %d\n", height(root), live_blocks);
    free_tree(root);
    printf("freed     blocks %d\n", live_blocks);
    return live_blocks != 0;
}
