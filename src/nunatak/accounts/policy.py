"""Who may do what: one table from the name of a route to the scopes that open it. A route that is not here is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from nunatak.core.errors import Refused


class Scope(StrEnum):
    """What a token may be good for. `admin` opens everything."""

    READ = "read"
    SUBMIT = "submit"
    ENGINE = "engine"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the name a token speaks for, and what the token is good for. `token` is its number."""

    name: str
    scopes: frozenset[str]
    token: int = 0
    expires: float | None = None

    @property
    def admin(self) -> bool:
        """Tell whether everything is open."""
        return Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class Rule:
    """Any of `scopes` opens a route; with `owner`, what it changes must belong to the caller, or the caller be admin."""

    scopes: frozenset[str]
    owner: bool = False


def _any(*scopes: Scope, owner: bool = False) -> Rule:
    return Rule(frozenset(scopes), owner)


READ = _any(Scope.READ)
SUBMIT = _any(Scope.SUBMIT)
OWNED = _any(Scope.SUBMIT, owner=True)
ENGINE = _any(Scope.ENGINE)
ADMIN = _any(Scope.ADMIN)
EVERYONE = _any(*Scope)

PUBLIC = frozenset({"healthz", "readyz", "static", "sign_in", "begin_session", "begin_session_by_code"})
"""Routes that need no token."""

RULES: Mapping[str, Rule] = {
    # Pages. Their `.json` and `.live` twins have the same names and rules.
    "page_home": READ,
    "page_go": READ,
    "page_work": READ,
    "page_dataset": READ,
    "page_dataset_tasks": READ,
    "page_dataset_errors": READ,
    "page_dataset_use": READ,
    "page_dataset_graph": READ,
    "page_dataset_recipe": READ,
    "page_dataset_files": READ,
    "page_dataset_history": READ,
    "download_from_page": READ,
    "archive_from_page": READ,
    "more_from_page": OWNED,
    "edit_from_page": OWNED,
    "retry_from_page": OWNED,
    "act_from_page": OWNED,
    "page_job": READ,
    "page_task": READ,
    "get_task_file": READ,
    "page_log": READ,
    "go_to_log": READ,
    "download_log": READ,
    "page_edit_recipe": READ,
    "check_edit_from_page": OWNED,
    "edit_recipe_from_page": OWNED,
    "page_new": SUBMIT,
    "check_from_page": SUBMIT,
    "submit_from_page": SUBMIT,
    "page_profile": EVERYONE,
    "revoke_own_token": _any(*Scope, owner=True),
    "page_about": READ,
    "page_errors": READ,
    "page_sites": READ,
    "drain_from_page": ADMIN,
    "undrain_from_page": ADMIN,
    "page_usage": READ,
    "page_why": READ,
    "page_what_if": READ,
    "set_theme": EVERYONE,
    "end_session": EVERYONE,
    # The API.
    "metrics": READ,
    "openapi": EVERYONE,
    "whoami": EVERYONE,
    "recipe_schema": READ,
    "check_recipe": READ,
    "import_iceprod": READ,
    "get_plan": _any(Scope.READ, Scope.ENGINE),
    "missing_blobs": SUBMIT,
    "put_blob": SUBMIT,
    "submit_dataset": SUBMIT,
    "list_datasets": READ,
    "get_dataset": READ,
    "edit_dataset": OWNED,
    "get_recipe": READ,
    "get_recipe_file": READ,
    "edit_recipe": OWNED,
    "more_jobs": OWNED,
    "split_dataset": OWNED,
    "list_jobs": READ,
    "list_tasks": READ,
    "watch_dataset": READ,
    "get_status": READ,
    "get_history": READ,
    "get_why": READ,
    "get_errors": READ,
    "list_errors": READ,
    "get_snapshot": READ,
    "get_logs": READ,
    "list_files": READ,
    "get_content": READ,
    "act": OWNED,
    "list_tokens": EVERYONE,
    "create_token": ADMIN,
    "revoke_token": ADMIN,
    "create_code": EVERYONE,
    "list_shares": READ,
    "set_share": ADMIN,
    "unset_share": ADMIN,
    "list_engines": READ,
    "list_nodes": READ,
    "drain_node": ADMIN,
    "undrain_node": ADMIN,
    "get_usage": READ,
    "register_engine": ENGINE,
    "heartbeat": ENGINE,
    "claim": ENGINE,
    "report": ENGINE,
    "upload_logs": ENGINE,
    "upload_scripts": ENGINE,
    "list_leases": ENGINE,
    "return_tasks": ENGINE,
    "unheard_claims": ENGINE,
    "leave_engine": ENGINE,
    "iceprod_list_datasets": READ,
    "iceprod_get_dataset": READ,
    "iceprod_set_dataset_status": OWNED,
    "iceprod_set_description": OWNED,
    "iceprod_set_priority": OWNED,
    "iceprod_set_jobs": OWNED,
    "iceprod_truncate": OWNED,
    "iceprod_hard_reset": OWNED,
    "iceprod_dataset_summaries": READ,
    "iceprod_list_jobs": READ,
    "iceprod_get_job": READ,
    "iceprod_set_job_status": OWNED,
    "iceprod_bulk_job_status": OWNED,
    "iceprod_bulk_jobs": OWNED,
    "iceprod_job_summaries": READ,
    "iceprod_job_counts": READ,
    "iceprod_task_logs": READ,
    "iceprod_get_log": READ,
    "iceprod_submit": SUBMIT,
    "iceprod_act": OWNED,
    "iceprod_action": READ,
    "iceprod_action_counts": READ,
    "iceprod_submit_status": READ,
    "iceprod_get_config": READ,
    "iceprod_list_tasks": READ,
    "iceprod_get_task": READ,
    "iceprod_set_task_status": OWNED,
    "iceprod_task_summaries": READ,
    "iceprod_task_counts": READ,
    "iceprod_task_name_counts": READ,
    "iceprod_bulk_task_status": OWNED,
    "iceprod_bulk_tasks": OWNED,
    "iceprod_dataset_stats": READ,
    "iceprod_task_stats": READ,
    "iceprod_bulk_stats": READ,
}


def check(route: str, principal: Principal) -> None:
    """Let a caller into a route. Raises `Refused`, also for a route that has no rule."""
    rule = RULES.get(route)
    if rule is None:
        raise Refused("this route is open to nobody", code="no-policy")
    if not principal.admin and rule.scopes.isdisjoint(principal.scopes):
        wanted = " or ".join(sorted(rule.scopes))
        raise Refused(
            f"your token is not good for this: it needs the scope {wanted}",
            code="scope",
            hint=f"ask an administrator for a token with the scope {wanted}",
            needed=sorted(rule.scopes),
        )


def check_owner(route: str, principal: Principal, owner: str, what: str) -> None:
    """Let a caller change `what` only if it is theirs, where the rule of the route asks for that. Raises `Refused`."""
    rule = RULES.get(route)
    if rule is None or (rule.owner and not principal.admin and principal.name != owner):
        raise Refused(f"{what} belongs to {owner}", code="not-owner", hint=f"ask {owner} or an administrator")
