"""All tasks by name."""

from __future__ import annotations

from pixel_m4.tasks.base import Task
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.qa import QuestionAnswering
from pixel_m4.tasks.tagging import Tagging

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Parsing, Tagging, NER, Classification, QuestionAnswering)
}
