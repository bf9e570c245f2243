"""The page of the operators: the wall of the command post.

Here: what people see and press. `add` puts it into the application; `board` holds what all pages show; `wall` is one open page, made of
`rows` (the list), `detail` (one alarm) and `dialogs`; `view` says which alarms a page shows; `places` is where further components go.
Not here: what an action makes of an alarm (`orchestration.alerts.lifecycle`), who may do what (`orchestration.alerts.access`).

Python writes attributes, the browser's script (`static/wall.js`) reads them: ages, countdowns and sounds cost no message. What is pressed
comes back as one event, `vigie`, from any element that says `data-do`.
"""
