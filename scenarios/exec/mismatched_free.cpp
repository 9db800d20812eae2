// Frees what one form of the allocator gave by another one: a planted bug of each pair.
#include <cstdlib>
#include <new>
#include <vector>

struct Point {
    int x, y;
};

static void of_new_array() {
    delete new (std::nothrow) Point[3];
}

static void of_malloc() {
    Point *point = static_cast<Point *>(std::malloc(sizeof(Point)));
    if (point) {
        delete point;
    }
}

static void of_new() {
    std::free(new (std::nothrow) Point);
}

static void of_another_size() {
    void *block = operator new(24, std::nothrow);
    if (block) {
        operator delete(block, 16);
    }
}

int main() {
    of_new_array();
    of_malloc();
    of_new();
    of_another_size();
    return 0;
}
