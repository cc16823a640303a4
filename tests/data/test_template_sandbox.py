"""A chat template writes text as transformers would, and can do nothing else: not run for ever, not reach anything."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time

import pytest
from jinja2.exceptions import TemplateError
from tiny_training import encoder_of
from transformers.utils.chat_template_utils import render_jinja_template

from lorasdk.data.template_budget import CALLS_DEEP, TemplateBoundError
from lorasdk.data.template_sandbox import MAX_SOURCE, TemplateSandbox
from lorasdk.errors import DataError

CALL = {"id": "a", "type": "function", "function": {"name": "add", "arguments": {"x": 1.5, "y": [True, None, "数<>&"]}}}
CHAT = [
    {"role": "system", "content": " Be brief.\n"},
    {"role": "user", "content": "Add <b>1</b> & 2"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "3", "tool_call_id": "a", "name": "add"},
    {"role": "assistant", "content": "<think>hm</think>It is 3."},
    {"role": "user", "content": "Danke schön 数据"},
]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"x": {}}}}}]
TEMPLATES = {
    "plain": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "tools": """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "{\\"name\\": <name>, \\"arguments\\": <args>}<|im_end|>\\n" }}
{%- endif %}
{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and not(message.content.startswith('<tool>')) %}
        {%- set ns.multi_step = false %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' ~ message.role ~ ns.last }}{% generation %}{{ content }}{% endgeneration %}
        {%- for call in message.tool_calls %}
            {{- '\\n<call>' ~ call.function.name }} {{ call.function.arguments | tojson(indent=2) }}
        {%- endfor %}
    {%- elif message.role == "tool" %}
        {{- message.name }}: {{ "%s=%05.1f" | format(message.tool_call_id, 2.5) }}
    {%- endif %}
{%- endfor %}
""",
    "macros": """{% macro show(x, depth=0) %}{% if x is mapping %}{
{%- for k, v in x|dictsort %}{{ k }}:{{ show(v, depth + 1) }}{{ ', ' if not loop.last }}{% endfor %}}
{%- elif x is iterable and x is not string %}[{% for v in x %}{{ show(v) }};{% endfor %}]{% else %}{{ x|string }}
{%- endif %}{% endmacro %}{{ bos_token }}{% for tool in tools %}{{ show(tool) }}{% endfor %}
{% for m in messages if m.role in ['user', 'assistant'] %}{{ loop.index }}{{ loop.cycle('a', 'b') }}
{{ m.content|trim|replace('3', '三')|upper }}{{ m.get('name', '-') }}{% if loop.index == 2 %}{% break %}{% endif %}
{% else %}none{% endfor %}{{ messages|map(attribute='role')|unique|join('/') }}
{{ messages|selectattr('role', 'equalto', 'user')|list|length }}{{ '{:>4}|{}'.format(7, 'x') }}{{ 7 // 2 }}{{ -3 % 5 }}
{% set text %}  block {{ messages[0].content }}{% endset %}{{ text|indent(2) }}{{ range(3)|sum }}{{ [1, 2][::-1] }}
{{ dict(a=1) }}{{ messages[0].items()|list }}{{ undefined_thing }}{{ none }}{{ (1, 'a') }}{{ {'k': [1.5]} }}""",
}


@pytest.mark.parametrize("generate", [False, True])
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_text_is_that_of_transformers(name: str, generate: bool):
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    variables = {"messages": CHAT, "tools": TOOLS, "documents": None, "add_generation_prompt": generate, **special}
    expected, _ = render_jinja_template(
        [CHAT], tools=TOOLS, chat_template=TEMPLATES[name], add_generation_prompt=generate, **special
    )
    assert TemplateSandbox(TEMPLATES[name]).render(variables) == expected[0]


def rendered(source: str, content: str = "b" * 100) -> str:
    return TemplateSandbox(source).render({"messages": [{"role": "user", "content": content}]})


GROWING = "{% set ns = namespace(x='aa') %}{% for i in range(100) %}{% set ns.x = STEP %}{% endfor %}{{ ns.x }}"
LARGE = "{% set ns = namespace(x='a') %}{% for i in range(20) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}BODY{% endfor %}{% endfor %}"
TOO_COSTLY = {
    "nested loops": ENDLESS.replace("BODY", ""),
    "loops with a test": "{% for i in range(99999) %}{% for j in range(99999) if j < 0 %}{% endfor %}{% endfor %}",
    "loops in a macro": "{% macro m() %}" + ENDLESS.replace("BODY", "x" * 1000) + "{% endmacro %}{% set x = m() %}",
    "loops in a block": "{% set x %}" + ENDLESS.replace("BODY", "{{ messages[0].content }}") + "{% endset %}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "recursion of a block": "{% block a %}{{ self.a() }}{% endblock %}",
    "recursion of a loop": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "two calls each": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(50) }}",
    "repeated text": "{{ 'a' * 10**9 }}",
    "repeated list": "{{ [1] * 10**9 }}",
    "doubled text": GROWING.replace("STEP", "ns.x + ns.x"),
    "doubled by ~": GROWING.replace("STEP", "ns.x ~ ns.x"),
    "doubled by format": GROWING.replace("STEP", "'%s%s' % (ns.x, ns.x)"),
    "doubled by join": GROWING.replace("STEP", "[ns.x, ns.x]|join"),
    "doubled by replace": GROWING.replace("STEP", "ns.x.replace('a', 'aa')"),
    "a list in itself": GROWING.replace("STEP", "[ns.x, ns.x]"),
    "a tuple in itself": GROWING.replace("STEP", "(ns.x, ns.x)"),
    "a mapping in itself": GROWING.replace("STEP", "{1: ns.x, 2: ns.x}"),
    "a call in itself": GROWING.replace("STEP", "dict(a=ns.x, b=ns.x)"),
    "a sum of lists in itself": GROWING.replace("STEP", "[ns.x] + [ns.x]"),
    "squared number": GROWING.replace("'aa'", "10").replace("STEP", "ns.x * ns.x"),
    "power": "{{ 10**(10**9) }}",
    "wide format": "{{ '%1000000000d' % 1 }}",
    "wide format by filter": "{{ '%1000000000d'|format(1) }}",
    "computed width": "{{ '%*d' % (10**9, 1) }}",
    "wide str.format": "{{ '{:1000000000}'.format(1) }}",
    "computed width of str.format": "{{ '{:{}}'.format(1, 10**9) }}",
    "wide indentation": "{{ 'a\n'|indent(10**9) }}",
    "wide JSON": "{{ [1]|tojson(indent=10**9) }}",
    "replaced everywhere": LARGE + "{{ ns.x.replace('', ns.x) }}",
    "replaced everywhere by filter": LARGE + "{{ ns.x|replace('a', ns.x) }}",
    "joined by a long text": LARGE + "{{ range(99999)|join(ns.x) }}",
    "method joined by a long text": LARGE + "{{ ns.x.join(ns.x) }}",
    "lists again and again": ENDLESS.replace("BODY", "{% set x = range(99999)|list %}"),
    "mapped items": ENDLESS.replace("BODY", "{% set x = range(99999)|map('string')|list %}"),
    "long comparisons": LARGE + ENDLESS.replace("BODY", "{% if 'ab' in ns.x %}{% endif %}"),
    "long source": "a" * (MAX_SOURCE + 1),
}


@pytest.mark.parametrize("name", TOO_COSTLY)
def test_what_costs_too_much_is_stopped(name: str):
    began = time.thread_time()
    with pytest.raises(TemplateBoundError):
        rendered(TOO_COSTLY[name])
    assert time.thread_time() - began < 2.5


REFUSED = {
    "long range": "{% for i in range(10**9) %}x{% endfor %}",
    "center": "{{ 'a'|center(10**9) }}",
    "method center": "{{ 'a'.center(10**9) }}",
    "mapped center": "{{ ['a']|map('center', 10**9)|list }}",
    "center by attribute": "{{ ('a'|attr('center'))(10**9) }}",
    "center by group": "{% for c, _ in ['a']|groupby('center') %}{{ c(10**9) }}{% endfor %}",
    "format_map": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "summed lists": "{{ [[1], [2]]|sum(start=[]) }}",
    "a namespace in itself": GROWING.replace("STEP", "namespace(a=ns.x, b=ns.x)"),
    "the class": "{{ ''.__class__.__mro__ }}",
    "the class by filter": "{{ ''|attr('__class__')|attr('__mro__') }}",
    "the class by sorting": "{{ ['']|map(attribute='__class__')|map(attribute='__mro__')|list|first }}",
    "the class by grouping": "{% for c, _ in ['a']|groupby('__class__') %}{{ c.mro() }}{% endfor %}",
    "the class by format": "{{ '{0.__class__.__mro__}'.format(1) }}",
    "globals of a function": "{{ raise_exception.__globals__ }}{{ raise_exception.__globals__.x }}",
    "attributes of a class": "{{ cycler.__init__.__globals__ }}",
    "names of Python's own": "{% set ns = namespace() %}{% set ns.__html__ = 1 %}",
    "names of Python's own at once": "{{ namespace(**{'__html__': 1}) }}",
    "changing what is given": "{{ messages.append(1) }}",
    "a file": "{% include '/etc/passwd' %}",
    "an import": "{% import '/etc/passwd' as x %}",
    "a parent": "{% extends '/etc/passwd' %}",
    "the host's random numbers": "{{ [1, 2]|random }}",
    "random words": "{{ lipsum() }}",
    "our own filters": "{{ 'x'|charge() }}",
    "our budget": "{{ budget().left }}",
    "no character": r"{{ '\ud800' }}",
    "parentheses": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "a long sum": "{{ " + "1+" * 20_000 + "1 }}",
    "many branches": "{% if a %}" + "{% elif b %}" * 5_000 + "{% endif %}",
    "many nested loops": "{% for i in [1] %}" * 100 + "{% endfor %}" * 100,
    "many attributes": "{{ a" + ".a" * 20_000 + " }}",
    "an unknown tag": "{% debug %}",
    "half a tag": "{% for",
    "its own refusal": "{{ raise_exception('no') }}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_chat_template_needs_is_refused(name: str):
    began = time.thread_time()
    try:
        text = rendered(REFUSED[name])
    except TemplateError:
        text = ""
    # What Jinja's sandbox hides is undefined, and may be written: as nothing.
    assert text.strip("[],") in {"", "Undefined"}
    assert time.thread_time() - began < 2.5


def test_a_negative_charge_buys_nothing():
    with pytest.raises(TemplateBoundError):
        rendered("{{ [-10**15]|map('charge()')|list }}{{ 'a' * 10**8 }}")


@pytest.mark.parametrize("by", ["{{ m }}", "{{ m ~ '' }}", "{{ m|string }}", "{{ '%s' % m }}", "{{ [m] }}"])
def test_no_address_in_memory_gets_into_the_text(by: str):
    with pytest.raises(TemplateError):
        rendered("{% macro m() %}{% endmacro %}" + by)


def test_macros_may_call_each_other_a_few_dozen_deep():
    source = "{% macro m(n) %}{{ m(n - 1) if n else 'end' }}{% endmacro %}{{ m(DEPTH) }}"
    assert rendered(source.replace("DEPTH", str(CALLS_DEEP - 1))) == "end"


def test_a_long_conversation_may_cost_more():
    source = "{% for i in range(50) %}{{ messages[0].content }}{% endfor %}"
    assert len(rendered(source, content="b" * 1_000_000)) == 50_000_000
    with pytest.raises(TemplateBoundError):
        rendered("{% for i in range(50) %}{{ 'b' * 1000000 }}{% endfor %}")


def test_nothing_interrupts_and_nothing_is_left_behind():
    def state() -> list[object]:
        return [threading.active_count(), sys.gettrace(), sys.getprofile(), random.getstate(), signal.getsignal(14)]

    before = state()
    with pytest.raises(TemplateBoundError):
        rendered(TOO_COSTLY["nested loops"])
    assert state() == before


def test_a_template_that_never_ends_is_a_data_error(tiny_model_dir):
    with pytest.raises(DataError) as caught:
        encoder_of(tiny_model_dir, template="{{ 'a' * 10**9 }}")
    (problem,) = caught.value.problems
    assert (problem.code, problem.field) == ("template.too-costly", "base_model.chat_template")


def test_a_template_that_is_none_is_a_data_error(tiny_model_dir):
    with pytest.raises(DataError) as caught:
        encoder_of(tiny_model_dir, template="{% for")
    assert caught.value.code == "template.refused"
