/* The systemd notification protocol (sd_notify(3)), spoken directly: one datagram, no library. */
#ifndef HALE_SDNOTIFY_H
#define HALE_SDNOTIFY_H

#include "hale/hale.h"

/* Master only. Without NOTIFY_SOCKET they do nothing. */
void sdnotify_ready(const char *status);
void sdnotify_reloading(void);
void sdnotify_stopping(void);
void sdnotify_status(const char *fmt, ...) HALE_PRINTF(1, 2);
/* Number of sockets passed by systemd (fds 3..); checks LISTEN_PID, clears the variables. */
int sdnotify_listen_fds(void);

#endif
