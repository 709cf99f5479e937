// A calculator: each line of standard input is an expression over 64-bit integers, with variables. What is wrong with a line is
// thrown from deep inside the recursive parser, past destructors, and caught by the loop that reads lines.
#include <climits>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>

namespace {

struct SyntaxError : std::runtime_error {
    std::size_t column;
    SyntaxError(const char *what, std::size_t column) : std::runtime_error(what), column(column) {}
};

struct Overflow {
    const char *operation;
};

std::map<std::string, long long> variables;
int depth, deepest;

// Counts open calls of the parser; an exception that passes runs its destructor.
struct Level {
    Level() {
        if (depth == 60) throw std::length_error("nested too deeply");
        if (++depth > deepest) deepest = depth;
    }
    ~Level() { --depth; }
};

class Parser {
  public:
    explicit Parser(const std::string &text) : text(text) {}

    long long line() {
        std::size_t start = at;
        std::string name = word();
        if (!name.empty() && take('=')) return variables[name] = whole();
        at = start;
        return whole();
    }

  private:
    const std::string &text;
    std::size_t at = 0;

    long long whole() {
        long long value = sum();
        if (peek()) throw SyntaxError("unexpected character", at + 1);
        return value;
    }

    long long sum() {
        Level level;
        long long value = product();
        for (;;) {
            if (take('+')) {
                if (__builtin_add_overflow(value, product(), &value)) throw Overflow{"sum"};
            } else if (take('-')) {
                if (__builtin_sub_overflow(value, product(), &value)) throw Overflow{"difference"};
            } else {
                return value;
            }
        }
    }

    long long product() {
        long long value = factor();
        for (;;) {
            if (take('*')) {
                if (__builtin_mul_overflow(value, factor(), &value)) throw Overflow{"product"};
            } else if (take('/') || take('%')) {
                char operation = text[at - 1];
                long long divisor = factor();
                if (divisor == 0) throw std::domain_error("division by zero");
                if (value == LLONG_MIN && divisor == -1) throw Overflow{"quotient"};
                value = operation == '/' ? value / divisor : value % divisor;
            } else {
                return value;
            }
        }
    }

    long long factor() {
        Level level;
        if (take('-')) return -factor();
        if (take('(')) {
            long long value = sum();
            if (!take(')')) throw SyntaxError("a parenthesis is not closed", at + 1);
            return value;
        }
        std::string name = word();
        if (!name.empty()) {
            auto found = variables.find(name);
            if (found == variables.end()) throw std::out_of_range("no variable " + name);
            return found->second;
        }
        char digit = peek();
        if (digit < '0' || digit > '9') throw SyntaxError("a number expected", at + 1);
        long long value = 0;
        for (; (digit = at < text.size() ? text[at] : 0) >= '0' && digit <= '9'; at++)
            if (__builtin_mul_overflow(value, 10LL, &value) || __builtin_add_overflow(value, digit - '0', &value))
                throw Overflow{"number"};
        return value;
    }

    std::string word() {
        peek();
        std::size_t start = at;
        while (at < text.size() && text[at] >= 'a' && text[at] <= 'z') at++;
        return text.substr(start, at - start);
    }

    char peek() {
        while (at < text.size() && text[at] == ' ') at++;
        return at < text.size() ? text[at] : 0;
    }

    bool take(char wanted) {
        if (peek() != wanted) return false;
        at++;
        return true;
    }
};

void answer(const std::string &line) {
    try {
        std::printf("%lld\n", Parser(line).line());
    } catch (const SyntaxError &error) {
        std::printf("%zu: %s\n", error.column, error.what());
    } catch (const Overflow &error) {
        std::printf("the %s does not fit\n", error.operation);
        throw;
    }
}

} // namespace

int main() {
    int overflows = 0, others = 0, character;
    std::string line;
    while ((character = std::getchar()) != EOF) {
        if (character != '\n') {
            line += static_cast<char>(character);
            continue;
        }
        try {
            answer(line);
        } catch (const Overflow &) {
            overflows++;
        } catch (const std::exception &error) {
            std::printf("%s\n", error.what());
            others++;
        }
        line.clear();
    }
    std::printf("%d overflows, %d other errors, at most %d calls deep, now %d\n", overflows, others, deepest, depth);
}
