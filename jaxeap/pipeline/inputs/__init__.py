"""What a run is given: questions, prompts, and the two models with what must be true of them.

questions     which are asked
prompts       the tokens that a model is given
stop_tokens   which ones end an answer
difficulty    how hard a question is
model_source  where a model lies
pair          both models, loaded one after the other
vocabulary    whether they read and write the same tokens
"""
