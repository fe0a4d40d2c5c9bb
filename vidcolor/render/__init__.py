"""Pictures, films and pages of what others computed."""
