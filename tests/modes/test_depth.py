from editar_cli.modes.depth import PROMPT


def test_the_prompt_is_the_one_trained_with():
    assert PROMPT == "Given the depth image, generate an image following the description: "
