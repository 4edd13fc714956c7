"""The built-in offline model: it reads a request, asks the file tools, and answers with what they found."""
