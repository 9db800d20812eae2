// Does its work at the very end: the destructor of a static writes what is left to a file, with the argument
// `stream` that of a stream what was printed. A word that there is no memory for is left out. With `leaves`
// such a destructor frees the only place that leads to a block.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

static const char *how = "";

struct Words {
    char *word = nullptr;
    ~Words() {
        if (*how == 0) {
            std::ofstream("words.txt") << (word ? "hello" : "") << "\n";
        }
        std::free(word);
    }
};

struct Kept {
    char **place = nullptr;
    ~Kept() { std::free(place); }
};

static Words words;
static Kept kept;

static char *ask() { return static_cast<char *>(std::malloc(6)); }

static void leave() {
    kept.place = static_cast<char **>(std::calloc(10, sizeof(char *)));
    if (kept.place) {
        kept.place[3] = ask();
    }
}

int main(int count, char **given) {
    how = count > 1 ? given[1] : "";
    if (std::strcmp(how, "stream") == 0) {
        std::ios::sync_with_stdio(false);
        char *word = ask();
        std::cout << (word ? "hello" : "") << "\n";
        std::free(word);
    } else if (std::strcmp(how, "leaves") == 0) {
        leave();
    } else {
        words.word = ask();
    }
    return 0;
}
