"""Parts of in-flight engines, for any family: requests that join and leave a running batch between two steps."""
