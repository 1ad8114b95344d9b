"""Planning: what a run takes of memory, disk and time, before any weight is read.

plan       the plan of a run; `plan_run`
demand     what its programs ask a device for, with any batch on any mesh
fitting    what does not fit, with settings that would
answering  bytes, operations and time of answering, from the programs that do it
memory     bytes and operations of scoring, `on_mesh` those of a device of several
program    bytes at the worst moment, and operations, of any traced program
workload   how many questions and tokens there are
shapes     the shapes of models that are not here
table      what is printed
"""

from jaxeap.pipeline.planning.plan import Plan, plan_run
from jaxeap.pipeline.planning.table import print_plan, print_short_plan

__all__ = ["Plan", "plan_run", "print_plan", "print_short_plan"]
