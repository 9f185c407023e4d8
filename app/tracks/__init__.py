"""Stores the facts that verdicts rest on and the tracks folded from them, and gives each domain's answer. The only
package that calls `relief` and writes to the database."""
