// Frees everything by the form that gave it, with and without its size, its alignment and an exception:
// a near miss of a mismatched free.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

struct alignas(64) Wide {
    char bytes[64];
};

struct Named {
    std::string name;
    ~Named() {}
};

int main() {
    delete new (std::nothrow) int;
    delete[] new (std::nothrow) Named[3];
    delete new (std::nothrow) Wide;
    delete[] new (std::nothrow) Wide[2];
    operator delete(operator new(10, std::nothrow), std::nothrow);
    if (void *block = operator new(24, std::nothrow)) {
        operator delete(block, 24);
    }
    std::free(std::malloc(3));
    std::free(std::aligned_alloc(8, 16));
    std::free(std::aligned_alloc(64, 64));
    void *grown = std::realloc(nullptr, 10);
    if (void *bigger = std::realloc(grown, 1000)) {
        grown = bigger;
    }
    std::free(grown);
    try {
        std::unique_ptr<Named[]> names(new Named[2]);
        names[0].name = std::string(100, 'x');
        std::shared_ptr<Wide> wide = std::make_shared<Wide>();
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}
