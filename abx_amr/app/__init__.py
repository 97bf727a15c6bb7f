"""A local application in the browser: build a clinic, start, watch, look and compare.

access      who may ask: token, cookie, Host, Origin     serving     the socket, and what is printed
workplace   the project, and what lies in it             application routes -> views
jobs        commands as processes of their own           listing     runs, studies, plans, sets
forms       forms from the configuration                 clinic      a clinic made of sliders
workers     processes that compute                       views       what each page answers

It owns nothing: it starts the public commands and reads what they write.
"""
