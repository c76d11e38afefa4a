"""bench/mutation.py: a mutant is known by what it changes, and its reason is read from a page."""

from __future__ import annotations

import pytest
from mutation import EXPLAINED, Mutant, changes_of, function_of, read_explained, read_statuses

PAGE = """# Mutants

Words about them.

### `model.decision.decide`

```diff
-    if llr >= point.llr:
+    if llr > point.llr:
```

Because
it is so.

### `app.access.KeyHasher.digest`

```diff
- return a
+ return b
```

Another reason.
"""
DIFF = """--- model/decision.py
+++ model/decision.py
@@ -1,3 +1,3 @@
 def decide():
-        if llr >= point.llr:
+        if llr > point.llr:
     return 1
"""


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("model.decision.x_decide__mutmut_3", "model.decision.decide"),
        ("model.calibration.x__share__mutmut_12", "model.calibration._share"),
        ("app.access.xǁKeyHasherǁdigest__mutmut_1", "app.access.KeyHasher.digest"),
        ("model.scoring.xǁCohortǁ__eq____mutmut_2", "model.scoring.Cohort.__eq__"),
    ],
)
def test_a_mutant_s_name_tells_its_function(name: str, function: str) -> None:
    assert function_of(name) == function


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="is no name of a mutant"):
        function_of("model.decision.decide")


def test_a_reason_is_found_by_the_change_wherever_it_is_indented() -> None:
    mutant = Mutant("model.decision.decide", changes_of(DIFF))
    assert mutant.changes == ("- if llr >= point.llr:", "+ if llr > point.llr:")
    reasons = read_explained(PAGE)
    assert reasons[mutant] == "Because it is so."
    assert list(reasons.values()) == ["Because it is so.", "Another reason."]
    assert Mutant("model.decision.coheres", mutant.changes) not in reasons


def test_a_change_without_a_reason_explains_nothing() -> None:
    assert read_explained(PAGE.replace("Another reason.\n", "")).keys() == {
        Mutant("model.decision.decide", changes_of(DIFF))
    }


def test_the_page_is_read_whole() -> None:
    page = EXPLAINED.read_text(encoding="utf-8")
    assert len(read_explained(page)) == page.count("### ") > 0


def test_statuses_are_read_from_what_mutmut_says() -> None:
    said = "    app.access.x_id_of__mutmut_1: killed\n    app.access.x_id_of__mutmut_2: no tests\nelsewhere: survived\n"
    assert read_statuses(said) == {"app.access.x_id_of__mutmut_1": "killed", "app.access.x_id_of__mutmut_2": "no tests"}
