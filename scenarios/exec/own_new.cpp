// Brings a `new` of its own, from a block apart, and nothing else: the C++ library builds the other
// forms on it.
#include <cstddef>
#include <cstdio>
#include <new>

static char memory[4096] __attribute__((aligned(16)));
static std::size_t used = 0;
static int freed = 0;

void *operator new(std::size_t size) {
    used += (size + 15) & ~static_cast<std::size_t>(15);
    if (used > sizeof memory) {
        throw std::bad_alloc();
    }
    return memory + used - ((size + 15) & ~static_cast<std::size_t>(15));
}

void operator delete(void *) noexcept {
    freed++;
}

int main() {
    delete new int;
    delete[] new int[3];
    delete new (std::nothrow) int;
    std::printf("%d\n", freed);
    return 0;
}
