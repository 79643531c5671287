"""What people write into a column to say that something is done. Pure."""

from __future__ import annotations

_ENGLISH = ("x", "v", "y", "yes", "ok", "okay", "done", "success", "successful", "succeeded", "true", "1")
_ENGLISH_VERBS = ("uploaded", "shipped", "packed", "printed")
_SIGNS = ("✓", "✔", "√", "☑", "✅")
_CHINESE = ("是", "对", "好", "完成", "已完成", "成功", "上传成功", "已上传", "已发货", "已打包", "已打印")
_TICKS = frozenset((*_ENGLISH, *_ENGLISH_VERBS, *_SIGNS, *_CHINESE))
_NOTHING = frozenset(("-", "–", "no", "n", "false", "0", "/", "n/a", "none", "pending", "否", "未", "无", "未完成"))


def is_tick(text: str) -> bool:
    """Tell whether `text` says "done"."""
    return _plain(text) in _TICKS


def says_nothing(text: str) -> bool:
    """Tell whether `text` is empty or says "not yet"."""
    return not _plain(text) or _plain(text) in _NOTHING


def _plain(text: str) -> str:
    return text.strip().strip(".!。！").casefold()
