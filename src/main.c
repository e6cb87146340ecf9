/* Entry point. */
#include "hale/hale.h"

int
main(void)
{
	puts(HALE_PRODUCT);
	return 0;
}
