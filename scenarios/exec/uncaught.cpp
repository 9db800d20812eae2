// A refused `new` throws, and nobody catches it.
#include <string>
#include <vector>

int main() {
    std::vector<std::string> words;
    words.push_back("a word that is too long for the object itself");
    return words.size() == 1 ? 0 : 1;
}
