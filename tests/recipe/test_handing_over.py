import json

from pydantic import SecretStr

from lorasdk.recipe import load_recipe
from lorasdk.recipe.handing_over import recipe_handed_over, recipe_with_secrets

TOKEN = "hf_canary_12345678"
RECIPE = """
name: teams
base_model: {token: '${env:MY_TOKEN}', chat_template: chatml}
data:
  train: {loader: mine, url: a, key: '${env:OTHER}', limit: 3}
  validation: 0.25
lora: {targets: [q_proj], layers: [0, 1]}
evaluation: {evaluators: [exact_match, {name: mine, sharp: true}]}
"""


def there_and_back(recipe):
    return recipe_handed_over(json.loads(json.dumps(recipe_with_secrets(recipe))))


def test_a_recipe_comes_back_equal_with_its_places_and_secrets(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    recipe = load_recipe(RECIPE)
    monkeypatch.delenv("MY_TOKEN")
    back = there_and_back(recipe)
    assert (back, back.fingerprint, back.to_yaml()) == (recipe, recipe.fingerprint, recipe.to_yaml())
    assert back.origin == recipe.origin
    assert back.place("lora", "targets") == "<text>:7:17"
    assert back.base_model.token.get_secret_value() == TOKEN


def test_secrets_given_in_code_come_back_closed(tmp_path):
    evaluator = {"name": "mine", "key": SecretStr(TOKEN)}
    source = {"loader": "mine", "key": SecretStr(TOKEN)}
    recipe = load_recipe({"name": "x", "data": {"train": source}, "evaluation": {"evaluators": [evaluator]}})
    back = there_and_back(recipe.with_base_dir(tmp_path))
    assert back.data.train.options["key"].get_secret_value() == TOKEN
    assert back.evaluation.evaluators[0].options["key"].get_secret_value() == TOKEN
    assert (back.base_dir, TOKEN in repr(back)) == (tmp_path, False)
