"""The RL lab: training small models on verifiable rewards, so that pairs before and after RL exist offline.

training_task       what a model is trained and tested on; the lab's main task
answered            prompts with answers as arrays, and the log-probabilities of the answers
training            the training state, the optimizer and its schedule, and following a run
sft                 supervised fine-tuning
rollouts, graded    answers drawn from the model in training; the same in great numbers, and graded
rewards             what an answer is worth
grpo                group relative policy optimization, and its relatives Dr. GRPO and RLOO
ppo                 proximal policy optimization; with advantages (token rewards, GAE) and critic (the value head)
dpo                 direct preference optimization, offline and online; with preferences (pairs of answers)
rejection_sampling  supervised fine-tuning on the model's own right answers
row_order           which rows a step learns from
regularisers        penalties that can be added to the loss of sft, rejection_sampling and grpo
methods             all of them by name, with the lab's hyper-parameters
runs                one training run as a folder, resumed when killed; with metrics_log
evaluate            accuracy, greedy and sampled
model_card          what stands beside a trained model
build_pair          the command that makes the shipped models
"""
