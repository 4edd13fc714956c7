"""New plugins: packages of their own, written from the templates beside this file."""
