"""The lab's reward."""

from jaxeap.rl.rewards import correctness_reward
from jaxeap.tasks.questions import Question
from jaxeap.tasks.tokenizer import arithmetic_tokenizer


def test_only_finished_right_answers_are_rewarded() -> None:
    tokenizer = arithmetic_tokenizer()

    def encode(text: str) -> list[int]:
        return tokenizer.convert_tokens_to_ids(list(text))

    questions = [Question("a", "37+58=", "590"), Question("b", "62+75=", "731")]
    reward = correctness_reward(questions, tokenizer)
    answers = [[*encode("731"), 1], [*encode("590"), 1], [*encode("580"), 1], encode("590"), [1], encode("5901")]
    assert reward([1, 0, 0, 0, 0, 0], answers) == [1, 1, 0, 0, 0, 0]
    assert reward([0, 1, 1, 1, 1, 1], answers) == [0, 0, 0, 0, 0, 0]
