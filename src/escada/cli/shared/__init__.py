"""What several verbs share: options, completion, help, language, and how errors are said."""
