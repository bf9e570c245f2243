"""What must stand in Superset's own database before it serves: its tables, its permissions, Vigie's account.

Here: making them, repeatably, in one process (each of Superset's own commands takes 8 to 10 s to start). Not here: what Vigie pushes
once it serves (`dashboards.push`): dashboards, roles, row-level security.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from flask_migrate import upgrade
from superset.app import create_app

from dashboards.server import instance


def main() -> None:
    """Migrate, and make what is missing."""
    robot = json.loads(Path(os.environ[instance.VARIABLE]).read_text(encoding="utf-8"))["robot"]
    app = create_app()
    with app.app_context():
        import superset

        upgrade(directory=str(Path(superset.__file__).with_name("migrations")))
        from superset import appbuilder, security_manager

        appbuilder.add_permissions(update_perms=True)
        security_manager.sync_role_definitions()
        # Who is not signed in yet reads the page where one signs in: in French.
        public = security_manager.find_role("Public")
        security_manager.add_permission_role(public, security_manager.find_permission_view_menu("can_language_pack", "Superset"))
        admin = security_manager.find_role("Admin")
        user = security_manager.find_user(username=robot["login"])
        if user is None:
            security_manager.add_user(robot["login"], "Vigie", "Plateforme", "vigie@localhost", admin, robot["password"])
        else:
            security_manager.reset_password(user.id, robot["password"])


if __name__ == "__main__":
    main()
    sys.exit(0)
