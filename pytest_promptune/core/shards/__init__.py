"""Parts of a session that were measured by different machines: how they travel, and how they become one."""
