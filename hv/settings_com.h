/*
 * The values of com1= and com2=: off, or where a port is and how its line is set, either of which may be left
 * out. Pure.
 */
#ifndef HV_SETTINGS_COM_H
#define HV_SETTINGS_COM_H

#include "arch/x86/api/serial.h"

/* A serial line of the host; all fields are valid in each of them. */
struct com_settings {
    bool off;
    struct host_serial_where where; /* legacy unless named */
    struct host_serial_line line;   /* 8n1 at firmware's rate unless given */
};

#define COM_SETTINGS_FORM "[WHERE,]115200,8n1|[WHERE,]auto|WHERE|off"

/* A setting_parser. */
bool com_settings_parse(const char *value, void *field);

#endif
