// What a calling thread keeps from call to call: memory, threads, and the plan of their work.
#pragma once

#include "crew.h"
#include "scratch.h"
#include "sorted.h"

namespace expertrag {
namespace EXPERTRAG_ISA {

struct Workshop {
  Plan plan;
  Scratch scratch;
  Sorted sorted;
  Crew crew;

  // Reset, also after a call that ended with an error.
  static Workshop& own() {
    thread_local Workshop shop;
    shop.plan.clear();
    shop.scratch.end();
    return shop;
  }

  // Run the plan.
  void run(int threads) {
    crew.run(plan, threads);
    plan.clear();
    scratch.end();
  }
};

}  // namespace EXPERTRAG_ISA
}  // namespace expertrag
