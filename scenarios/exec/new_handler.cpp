// Has memory in reserve, which its handler gives back where `new` is refused: all its requests succeed.
#include <cstdio>
#include <cstdlib>
#include <new>

static char *reserve = nullptr;
static int called = 0;

static void give_back() {
    if (called++ > 3) {
        std::set_new_handler(nullptr);
    }
    std::free(reserve);
    reserve = nullptr;
}

int main() {
    reserve = static_cast<char *>(std::malloc(1000));
    std::set_new_handler(give_back);
    try {
        int *number = new int(7);
        std::printf("%d\n", *number);
        delete number;
    } catch (const std::bad_alloc &) {
        std::puts("no memory");
        std::free(reserve);
        return 1;
    }
    std::free(reserve);
    return 0;
}
