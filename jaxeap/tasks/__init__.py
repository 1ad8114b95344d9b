"""Questions, responses, grades and the selection of what to compare: everything before a model is looked into.

Nothing here needs JAX or a model. In the order of the data:

  questions     the record of a question, read from JSON lines
  arithmetic    the generator of two-digit additions and subtractions, and the RL lab's demonstrations
  tokenizer     the small models' tokenizer; loading any tokenizer; encoding a prompt
  responses     what a model answered
  grading       whether it was right
  correctness   both right, both wrong, only base right, only tuned right
  selection     which questions are compared, and how much of the answers counts
  jsonl         the files that all of these are kept in
"""
