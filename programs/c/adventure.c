/* A small text adventure: rooms and things in tables, commands from standard input, verbs as function pointers. */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum direction { NORTH, EAST, SOUTH, WEST, DIRECTIONS };
enum room { NOWHERE = -1, HALL, KITCHEN, CELLAR, GARDEN, VAULT, ROOMS };
enum item { LAMP, KEY, BREAD, COIN, ITEMS };

/* Where an item can be besides a room. */
enum { CARRIED = 100, GONE = 101 };

struct room_info {
    const char *name;
    const char *description;
    signed char exits[DIRECTIONS];
    unsigned char dark;
};

static const struct room_info rooms[ROOMS] = {
    [HALL] = {"Hall", "A long hall with a cold fireplace.", {GARDEN, KITCHEN, NOWHERE, NOWHERE}, 0},
    [KITCHEN] = {"Kitchen", "It smells of bread. Stairs lead south into the dark.", {NOWHERE, NOWHERE, CELLAR, HALL}, 0},
    [CELLAR] = {"Cellar", "Barrels, and an iron door to the west.", {KITCHEN, NOWHERE, NOWHERE, VAULT}, 1},
    [GARDEN] = {"Garden", "Roses, and a hungry dog.", {NOWHERE, NOWHERE, HALL, NOWHERE}, 0},
    [VAULT] = {"Vault", "A small room behind the iron door.", {NOWHERE, CELLAR, NOWHERE, NOWHERE}, 1},
};

static const char *const item_names[ITEMS] = {"lamp", "key", "bread", "coin"};
static const char *const direction_names[DIRECTIONS] = {"north", "east", "south", "west"};

static struct {
    int room;
    int places[ITEMS];
    int lamp_lit, door_open, dog_fed;
    unsigned moves, score;
    int over;
} game = {.room = HALL, .places = {HALL, GARDEN, KITCHEN, VAULT}};

static int can_see(void)
{
    int lamp_here = game.places[LAMP] == CARRIED || game.places[LAMP] == game.room;
    return !rooms[game.room].dark || (game.lamp_lit && lamp_here);
}

static int find_item(const char *name)
{
    for (int i = 0; i < ITEMS; i++)
        if (strcmp(item_names[i], name) == 0)
            return i;
    return -1;
}

static void look(const char *object)
{
    (void)object;
    if (!can_see()) {
        puts("It is too dark to see anything.");
        return;
    }
    printf("[%s] %s\n", rooms[game.room].name, rooms[game.room].description);
    for (int i = 0; i < ITEMS; i++)
        if (game.places[i] == game.room)
            printf("There is a %s here.\n", item_names[i]);
}

static void go(const char *object)
{
    for (int d = 0; d < DIRECTIONS; d++) {
        if (strcmp(direction_names[d], object) != 0 && !(object[0] == direction_names[d][0] && !object[1]))
            continue;
        int target = rooms[game.room].exits[d];
        if (target == NOWHERE) {
            puts("There is no way through.");
        } else if (target == VAULT && !game.door_open) {
            puts("The iron door is locked.");
        } else {
            game.room = target;
            look("");
        }
        return;
    }
    puts("Go where?");
}

static void take(const char *object)
{
    int item = find_item(object);
    if (item < 0 || game.places[item] != game.room || !can_see()) {
        puts("You see no such thing.");
    } else if (item == KEY && !game.dog_fed) {
        puts("The dog growls: it is lying on the key.");
    } else {
        game.places[item] = CARRIED;
        game.score += item == COIN ? 50 : 5;
        puts("Taken.");
    }
}

static void drop(const char *object)
{
    int item = find_item(object);
    if (item < 0 || game.places[item] != CARRIED) {
        puts("You do not have that.");
        return;
    }
    game.places[item] = game.room;
    puts("Dropped.");
}

static void give(const char *object)
{
    int item = find_item(object);
    if (item < 0 || game.places[item] != CARRIED) {
        puts("You do not have that.");
    } else if (item == BREAD && game.room == GARDEN) {
        game.places[BREAD] = GONE;
        game.dog_fed = 1;
        game.score += 10;
        puts("The dog takes the bread and trots off. Something glitters where it lay.");
    } else {
        puts("Nobody wants it.");
    }
}

static void light(const char *object)
{
    if (find_item(object) != LAMP || game.places[LAMP] != CARRIED) {
        puts("You cannot light that.");
        return;
    }
    game.lamp_lit = !game.lamp_lit;
    printf("The lamp is %s.\n", game.lamp_lit ? "on" : "off");
}

static void open_door(const char *object)
{
    if (strcmp(object, "door") != 0 || game.room != CELLAR) {
        puts("There is nothing to open.");
    } else if (!can_see()) {
        puts("You cannot find it in the dark.");
    } else if (game.places[KEY] != CARRIED) {
        puts("You have no key.");
    } else {
        game.door_open = 1;
        game.score += 10;
        puts("The key turns. The door is open.");
    }
}

static void inventory(const char *object)
{
    int count = 0;
    (void)object;
    for (int i = 0; i < ITEMS; i++)
        if (game.places[i] == CARRIED)
            printf("%s%s", count++ ? ", " : "You carry: ", item_names[i]);
    puts(count ? "." : "You carry nothing.");
}

static void quit(const char *object)
{
    (void)object;
    game.over = 1;
}

static const struct {
    const char *verb;
    void (*action)(const char *object);
} commands[] = {
    {"look", look}, {"go", go},     {"take", take},      {"drop", drop},           {"give", give},
    {"light", light}, {"open", open_door}, {"inventory", inventory}, {"quit", quit},
};

static int split(char *line, char **words, int limit)
{
    int count = 0;
    while (*line && count < limit) {
        while (isspace((unsigned char)*line))
            *line++ = '\0';
        if (!*line)
            break;
        words[count++] = line;
        for (; *line && !isspace((unsigned char)*line); line++)
            *line = tolower((unsigned char)*line);
    }
    while (isspace((unsigned char)*line))
        *line++ = '\0';
    return count;
}

static void obey(char *line)
{
    char *words[2] = {"", ""};
    if (split(line, words, 2) == 0)
        return;
    game.moves++;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].verb, words[0]) == 0) {
            commands[i].action(words[1]);
            return;
        }
    printf("I do not know how to %s.\n", words[0]);
}

int main(void)
{
    char line[64];
    look("");
    while (!game.over && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        printf("> %s\n", line);
        obey(line);
        if (game.places[COIN] == CARRIED && game.room == HALL) {
            game.score += 20;
            puts("You have brought the coin home. Well done!");
            game.over = 1;
        }
    }
    printf("%u points in %u moves\n", game.score, game.moves);
    return game.places[COIN] == CARRIED ? 0 : 1;
}
