// C++ exceptions: by type, by base class, through destructors, thrown again, nested, pointers, and one kept for later.
#include <cstdio>
#include <exception>
#include <stdexcept>

struct Local {
  int number;
  ~Local() { std::printf("destroyed %d, %d in flight\n", number, std::uncaught_exceptions()); }
};
struct Left { virtual ~Left() {} int left = 1; };
struct Right { virtual ~Right() {} int right = 2; };
struct Both : Left, Right { ~Both() { std::printf("object gone\n"); } };
static int answer = 42;

static int thrower(int kind) {
  Local local{kind};
  switch (kind) {
    case 1: throw 7;
    case 2: throw std::runtime_error("message");
    case 3: throw Both();
    case 4: throw &answer;
    case 5: throw 2.5;
  }
  return kind;
}

static void catcher(int kind) {
  try {
    std::printf("returned %d\n", thrower(kind));
  } catch (int value) {
    std::printf("int %d\n", value);
  } catch (const std::logic_error &) {
    std::printf("never\n");
  } catch (const std::exception &error) {
    std::printf("exception %s\n", error.what());
  } catch (Right &part) {
    std::printf("part %d\n", part.right);
    try {
      throw;
    } catch (Left &other) {
      std::printf("other part %d\n", other.left);
    }
  } catch (int *pointer) {
    std::printf("pointer to %d\n", *pointer);
  }
}

int main() {
  for (int kind = 0; kind < 5; kind++) catcher(kind);
  try {
    catcher(5);
  } catch (...) {
    std::printf("something else\n");
    try {
      thrower(1);
    } catch (int) {
      std::printf("inside of a handler\n");
    }
  }
  return 0;
}
