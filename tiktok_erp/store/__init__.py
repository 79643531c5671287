"""The SQLite edge: the schema, the connection, and the SQL about each noun in one module."""
