/*
 * Loaded before usrsctp's tsctp: Debian's is built to write lines for debugging about each packet, and
 * turns them on itself. This leaves them off, which is what makes it worth comparing with.
 */
void usrsctp_sysctl_set_sctp_debug_on(unsigned int on)
{
	(void)on;
}
