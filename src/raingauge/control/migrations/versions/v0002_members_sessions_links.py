"""Members, sessions and one-time sign-in links."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)
ONE_OWNER = "(email IS NULL) <> (token_id IS NULL)"


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("email", name="pk_members"),
        sa.CheckConstraint("role IN ('admin', 'member')", name="ck_members_role"),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.customer_id"], name="fk_members_customer_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_members_customer_id", "members", ["customer_id"])
    _owned_table(
        "sessions",
        sa.Column("session_hash", sa.Text, nullable=False),
        [sa.Column(name, MOMENT, nullable=False) for name in ("created_at", "last_seen_at", "expires_at")],
    )
    _owned_table(
        "signin_links",
        sa.Column("code_hash", sa.Text, nullable=False),
        [sa.Column("expires_at", MOMENT, nullable=False)],
    )


def _owned_table(name: str, key: "sa.Column[str]", moments: "list[sa.Column[object]]") -> None:
    """A table whose rows belong to a member or to a token."""
    op.create_table(
        name,
        key,
        sa.Column("email", sa.Text),
        sa.Column("token_id", sa.Text),
        *moments,
        sa.PrimaryKeyConstraint(key.name, name=f"pk_{name}"),
        sa.CheckConstraint(ONE_OWNER, name=f"ck_{name}_owner"),
        sa.ForeignKeyConstraint(["email"], ["members.email"], name=f"fk_{name}_email", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.token_id"], name=f"fk_{name}_token_id", ondelete="CASCADE"),
    )
    op.create_index(f"ix_{name}_email", name, ["email"])
    op.create_index(f"ix_{name}_token_id", name, ["token_id"])
