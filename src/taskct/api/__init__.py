"""What is only there for notebooks and scripts; `import taskct` offers it together with what the rooms give."""
