"""Experiments of the RL lab: models trained with one thing varied, contrasts between them, and a page of findings.

settings          what every experiment's config has
data_choice       what one run is trained and tested on
plan              cells (training runs), comparisons, probes: what an experiment consists of
walk              trains, contrasts and probes what is not there yet
comparison        one contrast between two models of the plan, or why there is none
probe             accuracy, entropy, divergence and weight change of one model
seed_bootstrap    intervals over training seeds and questions
effects           changes of the metrics, averaged over seeds
claims            what the paper claims, and whether an interval supports it
effect_table, effect_plots, pages   tables, figures and text, written from the results
rl_methods, sampling, trajectory, intervention, transfer   the experiments
execute           runs one of them by its config
"""
