-- Where a project's prompts come from: the name of an origin that is configured. NULL is this file.
ALTER TABLE projects ADD COLUMN origin TEXT;
