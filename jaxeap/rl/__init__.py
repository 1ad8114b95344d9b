"""The RL lab: training small models on verifiable rewards, so that pairs before and after RL exist offline.

answered        prompts with answers as arrays, and the log-probabilities of the answers
training        the training state, the optimizer and its schedule, and following a run
sft             supervised fine-tuning
rollouts        answers drawn from the model in training
rewards         what an answer is worth
grpo            group relative policy optimization
evaluate        accuracy, greedy and sampled
model_card      what stands beside a trained model
build_pair      the command that makes the shipped pair
"""
