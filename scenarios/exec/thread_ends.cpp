// Threads whose blocks are freed only as they end, by the destructor of a thread-local and that of a
// key's value. The latter uses a block that it may have been refused.
#include <cstdlib>
#include <pthread.h>
#include <string>

struct Held {
    char *block = static_cast<char *>(std::malloc(30));
    ~Held() { std::free(block); }
};

static pthread_key_t key;

static void end(void *value) {
    char *note = static_cast<char *>(std::malloc(40));
    note[0] = 1; // The bug: it may be null.
    std::free(note);
    std::free(value);
}

static void *work(void *) {
    static thread_local Held held;
    pthread_setspecific(key, std::malloc(50));
    return held.block ? &key : nullptr;
}

int main() {
    pthread_t thread;
    if (pthread_key_create(&key, end) || pthread_create(&thread, nullptr, work, nullptr)) {
        return 1;
    }
    void *done = nullptr;
    pthread_join(thread, &done);
    return done ? 0 : 1;
}
