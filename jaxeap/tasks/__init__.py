"""Questions, responses, grades and the selection of what to compare: everything before a model is looked into.

Nothing here needs JAX or a model. In the order of the data:

  questions        the record of a question, read from JSON lines
  question_sets    published sets (GSM8K, MATH, ...) from files or the Hugging Face Hub
  arithmetic       the generator of two-digit additions and subtractions, and the RL lab's demonstrations
  lab_tasks        that and the lab's other tasks behind one interface (lab_task), one file each
  templates        prompt templates by name
  tokenizer        the small models' tokenizer; loading any tokenizer; encoding a prompt
  responses        what a model answered
  imported         both models' answers from a file that was made elsewhere
  grading          whether it was right: text_graders, or math_grading with its processes (math_worker)
  correctness      both right, both wrong, only base right, only tuned right
  selection        which questions are compared, and how much of the answers counts
  truncation       the same at several lengths, and for every correctness class
  jsonl            the files that all of these are kept in
"""
